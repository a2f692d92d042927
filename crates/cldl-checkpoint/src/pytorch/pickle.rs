//! A pickle as plain data. Nothing is executed, and nothing is imported.
//!
//! Values live in one list and refer to each other by position, so that neither deep nesting nor a
//! cycle can do harm; every opcode adds at most one value, so that memory is bounded by the input.

use std::collections::BTreeMap;

/// The longest pickle that is read, in bytes. Each may become a hundred in memory; the state_dict of ten
/// thousand tensors is shorter.
pub(super) const LARGEST: usize = 4 << 20;

/// Position of a value in a [`Pickle`].
pub(super) type Id = usize;

/// A value, with its parts by position.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(String),
    Bytes,
    /// Tuples, lists and sets.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name that the pickle would import: `module.name`.
    Name(String),
    /// What a name would be called with.
    Call {
        name: Id,
        arguments: Id,
    },
    /// A reference to something outside the pickle: a tensor's storage.
    Outside(Id),
}

/// Values of one pickle, and which of them is the result.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
    /// Length of the pickle in bytes.
    pub(super) length: usize,
}

impl Pickle {
    pub(super) fn root(&self) -> &Value {
        self.get(self.root)
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Every value's position.
    pub(super) fn ids(&self) -> std::ops::Range<Id> {
        0..self.values.len()
    }

    /// The parts of a tuple or list.
    pub(super) fn list(&self, id: Id) -> Option<&[Id]> {
        if let Value::List(items) = self.get(id) { Some(items) } else { None }
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        if let Value::Text(text) = self.get(id) { Some(text) } else { None }
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        if let Value::Int(int) = self.get(id) { Some(*int) } else { None }
    }

    /// Name and arguments of a call.
    pub(super) fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        let Value::Call { name, arguments } = self.get(id) else { return None };
        let Value::Name(name) = self.get(*name) else { return None };
        Some((name, self.list(*arguments)?))
    }

    /// Reads the pickle that `bytes` start with.
    ///
    /// # Errors
    /// In words, if it is cut off or longer than [`LARGEST`], or has an opcode that no state_dict has.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let input = &bytes[..bytes.len().min(LARGEST)];
        Machine { input, at: 0, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new() }.run()
    }
}

/// Reads opcodes.
struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

impl Machine<'_> {
    fn run(mut self) -> Result<Pickle, String> {
        let mut pickle = Pickle::default();
        loop {
            let opcode = self.byte()?;
            if opcode == b'.' {
                pickle.root = self.pop()?;
                pickle.length = self.at;
                return Ok(pickle);
            }
            self.step(opcode, &mut pickle.values)?;
        }
    }

    /// Does what `opcode` says, but for the last one.
    fn step(&mut self, opcode: u8, values: &mut Vec<Value>) -> Result<(), String> {
        if !self.arranges(opcode, values)? {
            let value = self.value(opcode, values)?;
            values.push(value);
            self.stack.push(values.len() - 1);
        }
        Ok(())
    }

    /// Does what an opcode says that arranges values and makes none; whether `opcode` is one.
    fn arranges(&mut self, opcode: u8, values: &mut [Value]) -> Result<bool, String> {
        match opcode {
            // PROTO, FRAME: nothing to do.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            // POP, and BUILD: the state of an OrderedDict has nothing that we need.
            b'0' | b'b' => drop(self.pop()?),
            b'q' => {
                let key = u32::from(self.byte()?);
                self.remember(key)?;
            }
            b'r' => {
                let key = self.u32()?;
                self.remember(key)?;
            }
            0x94 => {
                let key = u32::try_from(self.memo.len()).map_err(|_| "is too long".to_owned())?;
                self.remember(key)?;
            }
            b'h' => {
                let key = u32::from(self.byte()?);
                self.recall(key)?;
            }
            b'j' => {
                let key = self.u32()?;
                self.recall(key)?;
            }
            // SETITEM, SETITEMS, APPEND, APPENDS, ADDITEMS change a value.
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value], values)?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set_items(&items, values)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item], values)?;
            }
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.append(&items, values)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The value that an opcode makes.
    fn value(&mut self, opcode: u8, values: &[Value]) -> Result<Value, String> {
        Ok(match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(i64::from(self.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            0x8a => {
                let length = usize::from(self.byte()?);
                long(self.take(length)?)
            }
            b'G' => {
                self.take(8)?;
                Value::Float
            }
            b'X' | 0x8c => {
                let length =
                    if opcode == b'X' { self.u32()? as usize } else { usize::from(self.byte()?) };
                let text =
                    std::str::from_utf8(self.take(length)?).map_err(|_| "has a broken text")?;
                Value::Text(text.to_owned())
            }
            // Python 2's strings.
            b'U' | b'C' => {
                let length = usize::from(self.byte()?);
                bytes(self.take(length)?)
            }
            b'T' | b'B' => {
                let length = self.u32()? as usize;
                bytes(self.take(length)?)
            }
            b')' | b']' | 0x8f => Value::List(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            b't' | b'l' => Value::List(self.marked()?),
            b'd' => Value::Dict(pairs(&self.marked()?)?),
            0x85..=0x87 => {
                let length = usize::from(opcode - 0x84);
                let from = self.stack.len().checked_sub(length).ok_or("is damaged")?;
                if self.marks.last().is_some_and(|mark| from < *mark) {
                    return Err("is damaged".to_owned());
                }
                Value::List(self.stack.split_off(from))
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Name(format!("{module}.{name}"))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(name), Value::Text(module)) = (&values[name], &values[module])
                else {
                    return Err("is damaged".to_owned());
                };
                Value::Name(format!("{module}.{name}"))
            }
            b'R' => {
                let (arguments, name) = (self.pop()?, self.pop()?);
                called(name, arguments, values)?
            }
            b'Q' => Value::Outside(self.pop()?),
            other => {
                return Err(format!("has a pickle opcode {other:#04x}, which no state_dict has"));
            }
        })
    }

    fn set_items(&mut self, items: &[Id], values: &mut [Value]) -> Result<(), String> {
        let more = pairs(items)?;
        match self.top().map(|id| &mut values[id])? {
            Value::Dict(pairs) => pairs.extend(more),
            _ => return Err("sets an item of what is no dictionary".to_owned()),
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id], values: &mut [Value]) -> Result<(), String> {
        match self.top().map(|id| &mut values[id])? {
            Value::List(list) => list.extend(items),
            _ => return Err("appends to what is no list".to_owned()),
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        self.stack.push(*self.memo.get(&key).ok_or("is damaged: it recalls what it never said")?);
        Ok(())
    }

    fn top(&self) -> Result<Id, String> {
        Ok(*self.stack.last().ok_or("is damaged")?)
    }

    fn pop(&mut self) -> Result<Id, String> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err("is damaged".to_owned());
        }
        Ok(self.stack.pop().ok_or("is damaged")?)
    }

    /// Everything above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("is damaged")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, length: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.input.len());
        let end = end.ok_or("ends in the middle of its pickle")?;
        let taken = &self.input[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        // `take` gives exactly that many.
        self.take(N).map(|bytes| bytes.try_into().unwrap_or([0; N]))
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("ends in its pickle")?;
        let line = std::str::from_utf8(self.take(length + 1)?).map_err(|_| "has a broken name")?;
        Ok(line.trim_end().to_owned())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let (pairs, []) = items.as_chunks::<2>() else { return Err("is damaged".to_owned()) };
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

fn bytes(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Bytes, |text| Value::Text(text.to_owned()))
}

/// An integer of any length, if it fits.
fn long(bytes: &[u8]) -> Value {
    // PyTorch writes a magic number of ten bytes; what matters is shorter.
    if bytes.len() > 8 {
        return Value::Bytes;
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(whole))
}

/// What a call of `name` would give: an ordered dictionary is a dictionary, a tensor is known later by its name.
/// Any other name is refused.
fn called(name: Id, arguments: Id, values: &[Value]) -> Result<Value, String> {
    let Value::Name(text) = &values[name] else { return Err("calls what is no name".to_owned()) };
    match text.as_str() {
        "collections.OrderedDict" => Ok(Value::Dict(Vec::new())),
        "torch._utils._rebuild_tensor_v2"
        | "torch._utils._rebuild_tensor"
        | "torch._utils._rebuild_parameter" => Ok(Value::Call { name, arguments }),
        _ => Err(format!(
            "wants to call `{text}`, which is no part of a state_dict; nothing was run: save \
             `model.state_dict()` alone"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Pickle, Value};

    #[test]
    fn a_dictionary_is_read() {
        // pickle.dumps({'a': (1, -2), 'b': [True, None]}, 2)
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01J\xfe\xff\xff\xff\x86q\x02X\x01\x00\x00\x00bq\x03]q\x04(\x88Neu.";
        let pickle = Pickle::read(bytes).unwrap();
        let Value::Dict(pairs) = pickle.root() else { panic!("{pickle:?}") };
        assert_eq!(pickle.text(pairs[0].0), Some("a"));
        let tuple = pickle.list(pairs[0].1).unwrap();
        assert_eq!((pickle.int(tuple[0]), pickle.int(tuple[1])), (Some(1), Some(-2)));
        assert_eq!(pickle.list(pairs[1].1).unwrap().len(), 2);
        assert_eq!(pickle.length, bytes.len());
    }

    #[test]
    fn code_is_refused_by_name() {
        let error = Pickle::read(b"cos\nsystem\n(S'true'\ntR.").unwrap_err();
        assert!(error.contains("opcode 0x53"), "{error}");
        let error = Pickle::read(b"cos\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap_err();
        assert!(error.contains("`os.system`") && error.contains("nothing was run"), "{error}");
        let error = Pickle::read(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93)R.").unwrap_err();
        assert!(error.contains("`builtins.eval`"), "{error}");
    }

    #[test]
    fn deep_nesting_and_cycles_are_only_data() {
        let mut deep = vec![b')'];
        deep.extend(std::iter::repeat_n(0x85, 1_000_000));
        deep.push(b'.');
        drop(Pickle::read(&deep).unwrap());
        assert!(Pickle::read(b"]q\x00h\x00a.").is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pickle::read(&bytes);
        }

        /// Most random bytes are no opcode: bytes that are go deeper.
        #[test]
        fn any_opcodes_are_read_or_refused(
            bytes in prop::collection::vec(prop::sample::select(
                b"\x80\x95(0qrhjsuaebN\x88\x89KMJ\x8aGX\x8cUTCB)]\x8f}tld\x85\x86\x87c\x93RQ\x94\x00\x01\n.".to_vec()
            ), 0..200),
        ) {
            let _ = Pickle::read(&bytes);
        }
    }
}

//! Tensors as a pickle describes them: a storage, and how it is looked at.

use std::collections::BTreeMap;

use candle::{DType, Device, Tensor};

use super::pickle::{Id, Pickle, Value};
use crate::error::first_line;

/// How many dimensions a tensor may have.
const MOST_SIDES: usize = 8;

/// What a storage holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Float(DType),
    /// Not for weights: so many bytes each.
    Other(usize),
}

impl Number {
    fn of(storage: &str) -> Option<Self> {
        Some(match storage.strip_prefix("torch.")? {
            "FloatStorage" => Self::Float(DType::F32),
            "HalfStorage" => Self::Float(DType::F16),
            "BFloat16Storage" => Self::Float(DType::BF16),
            "DoubleStorage" => Self::Float(DType::F64),
            "LongStorage" => Self::Other(8),
            "IntStorage" => Self::Other(4),
            "ShortStorage" => Self::Other(2),
            "CharStorage" | "ByteStorage" | "BoolStorage" => Self::Other(1),
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::Float(dtype) => dtype.size_in_bytes(),
            Self::Other(bytes) => bytes,
        }
    }
}

/// A storage by its key, as a pickle refers to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    number: Number,
    /// How many numbers.
    count: usize,
}

impl Storage<'_> {
    /// Its size in bytes; none if that is beyond all bounds.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.count.checked_mul(self.number.bytes())
    }
}

/// A tensor's storage, and how it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View<'a> {
    pub(super) storage: Storage<'a>,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// The view that the value `id` describes; none if it is no tensor.
pub(super) fn view(pickle: &Pickle, id: Id) -> Result<Option<View<'_>>, String> {
    let Some((name, arguments)) = pickle.call(id) else { return Ok(None) };
    let bad = || "has a tensor that can't be understood".to_owned();
    if name == "torch._utils._rebuild_parameter" {
        // A parameter is a tensor with a switch; it does not contain another parameter.
        let inner = *arguments.first().ok_or_else(bad)?;
        let tensor = pickle.call(inner).is_some_and(|(name, _)| !name.ends_with("_parameter"));
        return if tensor { view(pickle, inner) } else { Err(bad()) };
    }
    let [storage, offset, shape, strides, ..] = arguments else { return Err(bad()) };
    let storage = storage_of(pickle, *storage)?;
    let sizes = |id: Id| -> Option<Vec<usize>> {
        // More sides than any tensor has would be read again for each tensor that shares them.
        let items = pickle.list(id).filter(|items| items.len() <= MOST_SIDES)?.iter();
        items.map(|item| usize::try_from(pickle.int(*item)?).ok()).collect()
    };
    let offset = pickle.int(*offset).and_then(|offset| usize::try_from(offset).ok());
    let (Some(offset), Some(shape), Some(strides)) = (offset, sizes(*shape), sizes(*strides))
    else {
        return Err(bad());
    };
    if shape.len() != strides.len() {
        return Err(bad());
    }
    Ok(Some(View { storage, offset, shape, strides }))
}

/// Every storage that `pickle` refers to.
pub(super) fn all_storages(pickle: &Pickle) -> Result<Vec<Storage<'_>>, String> {
    let outside = pickle.ids().filter(|id| matches!(pickle.get(*id), Value::Outside(_)));
    outside.map(|id| storage_of(pickle, id)).collect()
}

/// `('storage', torch.FloatStorage, key, 'cpu', count)`, and in the old format a view, which is none.
fn storage_of(pickle: &Pickle, id: Id) -> Result<Storage<'_>, String> {
    let parts = match pickle.get(id) {
        Value::Outside(id) => pickle.list(*id),
        _ => None,
    };
    let Some([_, kind, key, _, count, rest @ ..]) = parts else {
        return Err("has a tensor without a storage".to_owned());
    };
    let Value::Name(kind) = pickle.get(*kind) else {
        return Err("has a storage without a type".to_owned());
    };
    let number =
        Number::of(kind).ok_or_else(|| format!("has a storage of the unknown type `{kind}`"))?;
    let count = pickle.int(*count).and_then(|count| usize::try_from(count).ok());
    if rest.first().is_some_and(|view| *pickle.get(*view) != Value::None) {
        return Err("has a storage that is a part of another".to_owned());
    }
    match (pickle.text(*key), count) {
        (Some(key), Some(count)) => Ok(Storage { key, number, count }),
        _ => Err("has a storage that can't be understood".to_owned()),
    }
}

impl View<'_> {
    /// Number of elements; none if they are more than the storage has: a view that repeats elements could ask
    /// for any amount of memory.
    pub(super) fn count(&self) -> Option<usize> {
        let count = self.shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
        count.filter(|count| *count <= self.storage.count)
    }

    /// The tensor, from its storage's bytes (little-endian); none if it holds no weights but integers.
    pub(super) fn tensor(
        &self,
        storages: &BTreeMap<String, Vec<u8>>,
        name: &str,
    ) -> Result<Option<Tensor>, String> {
        let Number::Float(dtype) = self.storage.number else { return Ok(None) };
        let size = dtype.size_in_bytes();
        let outside = || format!("has a tensor `{name}` that reaches beyond its storage");
        let bytes = storages.get(self.storage.key).ok_or_else(outside)?;
        let mut packed = Vec::new();
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..self.count().ok_or_else(outside)? {
            let at = index
                .iter()
                .zip(&self.strides)
                .try_fold(self.offset, |at, (i, stride)| at.checked_add(i.checked_mul(*stride)?));
            let start = at.and_then(|at| at.checked_mul(size)).ok_or_else(outside)?;
            let end = start.checked_add(size).ok_or_else(outside)?;
            packed.extend(bytes.get(start..end).ok_or_else(outside)?);
            for (i, size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        let tensor = Tensor::from_raw_buffer(&packed, dtype, &self.shape, &Device::Cpu);
        tensor.map(Some).map_err(|e| format!("has a bad tensor `{name}`: {}", first_line(&e)))
    }
}

//! Weights that PyTorch wrote: `torch.save` of a state_dict, in its zip format (since PyTorch 1.6) or the older
//! one, or a safetensors file.
//!
//! A pickle is a program; nothing of it is executed here. `pickle` knows the opcodes of dictionaries, tuples,
//! strings and numbers, and a handful of names from torch, which it builds as plain data. Whatever else a
//! file asks for is refused by name.

mod archive;
mod import;
mod legacy;
mod pickle;
mod state_dict;
mod tensor;

pub use import::{ImportOptions, ensemble_of, import};
pub use state_dict::{StateDict, read_state_dict};

//! MNIST, Fashion-MNIST and CIFAR-10: readers, checksums, splits and prefetched batches.
//!
//! ```no_run
//! use std::sync::Arc;
//! use candle::Device;
//! use cldl_data::{Augmentation, DataDirs, Dataset, DatasetName, Split, batches, epoch_order};
//!
//! # fn main() -> Result<(), cldl_data::DataError> {
//! let dirs = DataDirs::standard(None);
//! let train = Arc::new(Dataset::load(DatasetName::Mnist, Split::Train, &dirs)?);
//! let (seed, epoch) = (0, 0);
//! let order = epoch_order(train.len(), seed, epoch);
//! let augmentation = Augmentation { flip: true, ..Augmentation::default() }.at(seed, epoch);
//! for batch in batches(train, order, 128, augmentation, &Device::Cpu)? {
//!     let batch = batch?;
//!     assert_eq!(batch.images.dims()[1..], [1, 28, 28]);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A file is taken only if its content has the published checksum, wherever it was found and however
//! it is packed; `datasets/manifest.toml` lists files, checksums and mirrors. A folder of one's own
//! files in the same formats is a data set too: see [`DataDirs::dataset`].

mod error;
mod name;
mod spec;

mod canonical;
mod cifar;
mod custom;
mod dirs;
mod idx;
mod manifest;
mod source;
mod unpack;
mod unpacked;

mod augment;
mod batches;
mod dataset;
mod holdout;

mod fetch;
mod info;
mod part;
mod verify;

#[doc(hidden)]
pub mod untrusted;

pub use augment::{Augmentation, EpochAugmentation, Noise};
pub use batches::{Batches, batches, epoch_order};
pub use canonical::install;
pub use dataset::{Batch, Dataset};
pub use dirs::{DataDirs, fetch_dir};
pub use error::DataError;
pub use fetch::{FetchOptions, Fetched, Progress, fetch};
pub use holdout::holdout_split;
pub use info::{SplitInfo, info};
pub use name::{DatasetName, Split};
pub use spec::{CustomSpec, DatasetSpec};
pub use unpacked::unpacked;
pub use verify::{FileReport, FileState, verify};

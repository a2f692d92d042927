//! One training loop, its objectives, Adam with coupled L2, checkpoints and resume.
//!
//! [`train`] turns a [`TrainConfig`] and a dataset into a run directory; [`Objective`]s say what is
//! minimized; [`Run`] knows what lies in a run directory and loads ensembles from it.
//!
//! # A checkpoint in a program of your own
//!
//! ```no_run
//! use candle::{Device, Tensor};
//! use cldl_core::Classifier as _;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::Cpu;
//! let loaded = cldl_train::load_ensemble("runs/my-run".as_ref(), &device)?;
//! let [channels, height, width] = loaded.dataset.image_shape();
//! let images = Tensor::zeros((1, channels, height, width), candle::DType::F32, &device)?;
//! // The logarithm of the members' mean probability, [1, C]; pixels are in [0, 1].
//! let scores = loaded.ensemble.logits(&images)?;
//! println!("class {}", scores.argmax(1)?.to_vec1::<u32>()?[0]);
//! # Ok(())
//! # }
//! ```

mod adam;
mod agree;
mod checkpoint;
mod config;
mod cost;
mod defaults;
mod error;
mod finite;
mod fit;
mod method;
mod objective;
mod options;
mod position;
mod resolve;
mod run;
mod schedule;
mod trainer;
mod verify;

pub use adam::{Adam, AdamConfig, Overflow};
pub use agree::{difference, fits};
pub use checkpoint::{LoadedEnsemble, check_finite, ensemble_of, load_ensemble};
pub use config::{TrainConfig, TrainData};
pub use cost::{Cost, measure};
pub use error::TrainError;
pub use fit::{Observer, Progress, train};
pub use method::{Method, Variant};
pub use objective::{
    Adversarial, Distillation, InnerMaximization, Objective, Step, Terms, distill,
};
pub use options::TrainOptions;
pub use position::{Interval, Position};
pub use resolve::OptionsOn;
pub use run::{Run, RunState};
pub use schedule::StepSchedule;
pub use trainer::Trainer;
pub use verify::verify_run;

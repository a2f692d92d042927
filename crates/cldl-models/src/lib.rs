//! LeNet-5, ResNet-20, the label confusion model and ensembles of them.
//!
//! Parameter names are those of the published PyTorch state_dict. Every model takes pixels in [0, 1]:
//! normalization is a member's first layer, so an attack's eps is in pixels. Inside a member,
//! activations are `[B, H, W, Ch]`.

mod config;
mod ensemble;
mod flops;
mod layers;
mod lcm;
mod lenet5;
mod member;
mod mode;
mod resnet20;

pub use config::{Arch, EnsembleConfig};
pub use ensemble::{Ensemble, ensemble_log_probs};
pub use lcm::Lcm;
pub use member::{Forward, Member};
pub use mode::Mode;

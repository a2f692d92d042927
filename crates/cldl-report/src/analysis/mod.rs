//! What can be learned about a trained ensemble beyond its accuracy.

mod gallery;
mod labels;
mod pairs;
mod plane;

pub use gallery::{Specimen, specimens};
pub use labels::{LabelDependencies, label_dependencies};
pub use pairs::{Pair, PairMeasures, pair_measures};
pub use plane::{DecisionPlane, decision_plane};

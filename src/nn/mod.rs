//! Networks: layers that hold parameter ids, the flat parameters those ids point into, and the pass that
//! joins the two. A network is a description; its weights are a value.
pub mod heads;
pub mod layers;
pub mod layout;
pub mod outline;
pub mod params;
pub mod resnet;

pub use heads::Projector;
pub use layout::{Entry, Layout, ParameterId, StatisticId};
pub use outline::Scribe;
pub use params::{Params, Pass};
pub use resnet::{Architecture, ResNet, Stem};

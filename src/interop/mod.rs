//! Files other programs read and write: torchvision's weights as safetensors, features as npy, TensorBoard's
//! events.
pub mod events;
pub mod npy;
pub mod torchvision;
pub mod weights;
mod whole;

pub use whole::{Existing, WholeFile};

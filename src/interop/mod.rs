//! Files other programs read and write: a ResNet's weights in the forms and under the names that they
//! know, features as npy, TensorBoard's events. `tests/exports` has each read by its reader; the versions it
//! was last done with:
//!
//! | written | read by |
//! |---|---|
//! | safetensors, torchvision's names | torchvision 0.29.2, timm 1.0.31 |
//! | [`huggingface`] folder | timm 1.0.31, from `local-dir:` |
//! | [`pth`] | torch 2.15.0 with `weights_only=True`, mapped or not; CPython 3.11's unpickler |
//! | [`detectron2`]'s names in a `.pth` | torch 2.15.0; the names by a table, not by detectron2 itself |
//! | [`onnx`] | onnx 1.23.2's checker, ONNX Runtime 1.32.0 |
//! | [`npy`] | NumPy 2.4.6, mapped or not |
pub mod detectron2;
pub mod events;
mod grow;
pub mod huggingface;
pub mod npy;
pub mod onnx;
pub mod pickle;
pub mod pth;
pub mod torchvision;
pub mod weights;
mod whole;

pub use whole::{Existing, WholeFile, WholeFolder};

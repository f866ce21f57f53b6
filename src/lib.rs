//! Selfsame: it trains f so that f(I) = f(augment(I)), the *selfsame* thing seen twice.
pub mod cli;
pub mod data;
pub mod device;
mod error;
pub mod evaluate;
pub mod interop;
pub mod methods;
pub mod nn;
pub mod ops;
pub mod random;
pub mod shape;
pub mod tape;
pub mod tensor;
pub use device::Device;
pub use error::{Error, Result};
pub use tape::{Tape, Var};
pub use tensor::Tensor;

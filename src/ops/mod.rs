//! One file an op: its definition, its forward, its recorded form, its backward, and at its foot what
//! each of its kernels costs and means.
pub mod add;
pub mod augment;
pub mod augment_blur;
pub mod augment_color;
pub mod augment_crop;
pub mod augment_draw;
pub mod copy;
pub mod nt_xent;
pub mod relu;

pub use add::add;
pub use nt_xent::nt_xent;
pub use relu::relu;

//! Every op: its kernels equal their definition on every device there is, and its gradient equals
//! differences.
mod add;
mod batch_norm;
mod batch_norm_add_relu;
mod batch_norm_relu;
mod check;
mod conv2d;
mod copy;
mod ema;
mod global_average_pool;
mod matmul;
mod max_pool;
mod nt_xent;
mod optimize;
mod relu;

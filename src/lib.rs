//! Selfsame trains f so that f(I) = f(augment(I)): the *selfsame* thing seen twice. This page is the
//! architecture; what a room holds is said in the room.
//!
//! # Rooms and arrows
//!
//! ```text
//! error random shape  <-  device  <-  tensor  <-  tape  <-  ops  <-  nn  <-  methods  <-  train
//!                          kernels/*.cu              data  interop  evaluate  figure  <-  study  report  <-  cli
//! ```
//!
//! Imports point left only, and siblings do not see each other; `tests/tidy` holds it.
//!
//! | room | what it holds |
//! |---|---|
//! | `kernels/x.cu` | an op's CUDA kernels, each taking one parameter struct |
//! | [`device`] | the seam: memory, and kernels launched in order, on `cpu`, `cuda`, `emulated`, `null` |
//! | [`tensor`], [`tape`] | a value; a value with a past, and the walk back |
//! | [`ops`] | one file an op: definition, forward, backward, and what its kernels mean and cost |
//! | [`nn`] | networks as descriptions, weights as one flat value, the pass that joins them |
//! | [`methods`] | one file a paper |
//! | [`data`] | images from the disk to uint8 crops, in an order that (seed, epoch) fixes |
//! | [`train`] | the loop, schedule, checkpoints, log: it decides nothing about learning |
//! | [`evaluate`], [`interop`] | what the features are worth; weights and vectors for other programs |
//! | [`figure`] | charts as files: SVG and PNG |
//! | [`study`] | one file an experiment: its runs, what is measured of them, what the numbers say |
//! | [`report`] | one page about runs: curves, settings, what their weights see |
//! | `fault` | faults on purpose, in builds with that feature |
//! | [`config`], [`cli`] | every number with its source; every flag |
//!
//! # The seam
//!
//! A device is a `Driver`: about nine calls that do not grow when an op is added. A kernel takes exactly one
//! struct, declared in its `.cu`; `build.rs` writes its Rust twin, so the two cannot drift. A launch is
//! that struct as a literal, and it runs in three places: the cubin on a GPU, the kernel's Rust twin on
//! the CPU (the *definition*, fast enough to train), and the same `.cu` source on the emulator, every CUDA
//! thread a fiber, checked for races and bounds. One property test an op compares the three.
//!
//! # Where is ...
//!
//! a thread index: `kernels/`. A grid size, a kernel's bytes and FLOPs: the foot of `src/ops/x.rs`. A
//! derivative: the closure in `ops/x.rs`. A weight's shape: `nn/layers.rs`. An equation of a paper:
//! `methods/`. A default number: `config/defaults.rs`, a paper's:
//! `config/presets/`. A flag: `cli/flags.rs`.
//!
//! # Invariants
//!
//! * Nothing above `device` knows CUDA exists; `unsafe` is nowhere else.
//! * One stream: the order of calls is the order of effects.
//! * Every training step makes the same launches with the same parameters at the same addresses; what a
//!   schedule changes lies in device memory (`train/scalars.rs`). So a step is captured once and replayed
//!   (`device/graph.rs`), and after the first few no memory is asked for.
//! * A tensor is immutable once computed. Only `Params`, running statistics and a method's memory are
//!   updated in place, by functions whose names say so.
//! * NHWC, dense, no strides. `real` is f32 on the CPU and bf16 on CUDA; statistics, losses, gradients of
//!   weights and master weights are f32 everywhere.
//! * Deterministic: every draw is a function of (seed, epoch, sample, view, purpose), every sum has a fixed
//!   order that follows from shapes, so a resumed run is the uninterrupted run, bit for bit.
//! * `?` for the world, `assert!` for ourselves.
//! * The user's images are never modified; nothing leaves the machine; nothing reads a pickle.
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
mod error;
pub mod evaluate;
#[cfg(feature = "fault")]
pub mod fault;
pub mod figure;
pub mod interop;
pub mod methods;
pub mod nn;
pub mod ops;
pub mod random;
pub mod report;
pub mod shape;
pub mod study;
pub mod tape;
pub mod tensor;
pub mod train;
pub use device::Device;
pub use error::{Error, Result};
pub use tape::{Tape, Var};
pub use tensor::Tensor;

//! A device: memory, and kernels launched on it in order. The only folder with `unsafe`.
//!
//! | device | what runs |
//! |---|---|
//! | `cpu` | the kernel's Rust twin, in f32: the definition, and fast enough to train |
//! | `cuda` | the cubin `build.rs` compiled through NVRTC, by the driver API |
//! | `emulated` | the same `.cu` source compiled for the host, its threads as fibers (feature `emulator`) |
//! | `null` | nothing: bytes, FLOPs and peak memory are added up |
#[cfg(all(feature = "emulator", emulated_kernels))]
mod conformance;
mod cpu;
mod cuda;
#[cfg(all(feature = "emulator", emulated_kernels))]
mod emulator;
mod graph;
mod host;
mod images;
mod kernel;
mod mapped;
mod matmul;
mod memory;
mod null;
mod tensor_map;
mod trace;

use crate::Result;
#[cfg(all(feature = "emulator", emulated_kernels))]
pub use emulator::{Banks, Count, Counts, Moved, Options as EmulatorOptions, Traffic};
pub use graph::Graph;
use graph::{Executable, Recording};
pub use host::Host;
pub use images::{IMAGES, Image, USAGE, Usage};
pub use kernel::{Arch, Entry, Grid, Kernel, KernelInfo, Packed, Parameters, Ptr, Real, kernels};
pub use mapped::Mapped;
pub use matmul::{Matrix, MatrixMut, host_matmul};
pub use memory::MemoryUse;
use memory::Pool;
use std::{
    ops::AddAssign,
    sync::{Arc, Mutex},
};
pub use tensor_map::{Encoded, Swizzle, TensorMap, Window};
pub use trace::{Ceilings, Timed, Trace};
use trace::{Moment, Tracer};

/// One kernel over one grid.
pub(crate) struct Launch<'a> {
    pub kernel: &'static KernelInfo,
    pub grid: Grid,
    /// The bytes of its one parameter: encoded tensor maps, if it takes any, then its struct.
    pub params: &'a [u8],
    /// Its definition in Rust, applied to the same parameters.
    pub twin: &'a dyn Fn(&Host),
    /// What the kernel's cost functions say of it; the emulator alone holds a launch to that.
    #[cfg_attr(not(feature = "emulator"), expect(dead_code))]
    pub work: Work,
}

/// What a device must do. Calls take effect in the order they are made, as on one CUDA stream.
pub(crate) trait Driver: Send + Sync {
    fn name(&self) -> String;
    fn arch(&self) -> Arch;
    fn alloc(&self, bytes: usize) -> Result<Ptr>;
    fn free(&self, ptr: Ptr, bytes: usize);
    fn upload(&self, to: Ptr, from: &[u8]) -> Result<()>;
    fn download(&self, from: Ptr, to: &mut [u8]) -> Result<()>;
    fn launch(&self, launch: &Launch) -> Result<()>;
    fn synchronize(&self) -> Result<()>;
    /// A tensor map as the device's copy engine reads it; asked for only where `arch` has one.
    fn tensor_map(&self, _: &TensorMap) -> Result<Encoded> {
        unreachable!("{} has no copy engine", self.name())
    }
    /// Makes one thing of all that `launches` launches, running none of it; `None` where that gains
    /// nothing.
    fn graph(&self, _launches: &dyn Fn() -> Result<()>) -> Result<Option<Box<dyn Executable>>> {
        Ok(None)
    }
    /// After all that was launched before.
    fn moment(&self) -> Result<Moment> {
        Ok(Moment::now())
    }
    /// Whether launches do anything; no where they are only added up.
    fn runs(&self) -> bool {
        true
    }
    /// Bytes that can still be allocated; `None` where the driver does not say.
    fn free_memory(&self) -> Result<Option<u64>> {
        Ok(None)
    }
    /// Whether freed memory may be handed out again; no where its edges are being watched.
    fn pools(&self) -> bool {
        true
    }
}

/// A handle to a device; clones are the same device.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    driver: Box<dyn Driver>,
    arch: Arch,
    pool: Mutex<Pool>,
    work: Mutex<Work>,
    /// While a graph is captured.
    recording: Mutex<Option<Recording>>,
    /// While launches are timed.
    tracer: Mutex<Option<Tracer>>,
}

/// What was launched so far, as the kernels' own cost functions say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    pub launches: u64,
    pub bytes: u64,
    pub flops: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, more: Work) {
        self.launches += more.launches;
        self.bytes += more.bytes;
        self.flops += more.flops;
    }
}

impl Device {
    /// The CPU: every kernel's Rust twin, f32.
    pub fn cpu() -> Device {
        Device::new(Box::new(cpu::Cpu::default()))
    }
    /// GPU number `ordinal`. Fails with [`Error::Environment`](crate::Error::Environment) where there is no driver, no such GPU, or
    /// the build left the CUDA kernels out.
    pub fn cuda(ordinal: usize, real: Real) -> Result<Device> {
        Ok(Device::new(Box::new(cuda::Cuda::open(ordinal, real)?)))
    }
    /// The emulator: the `.cu` sources themselves on the host, those meant for GPUs of compute capability
    /// `compute` / 10. Fails with [`Error::Environment`](crate::Error::Environment) where the build left it out.
    pub fn emulated(real: Real, compute: u32) -> Result<Device> {
        #[cfg(all(feature = "emulator", emulated_kernels))]
        return Ok(Device::new(Box::new(emulator::Emulated::new(
            real, compute,
        ))));
        #[cfg(not(all(feature = "emulator", emulated_kernels)))]
        Err(crate::Error::Environment(format!(
            "no emulator ({}, sm_{compute}) in this build: build with --features emulator where a C++17 compiler is installed",
            real.name()
        )))
    }
    /// The emulator with a schedule, workers and patience of one's own.
    #[cfg(all(feature = "emulator", emulated_kernels))]
    pub fn emulated_with(real: Real, options: EmulatorOptions) -> Device {
        Device::new(Box::new(emulator::Emulated::with(real, options)))
    }
    /// The emulator, which checks every access and counts what each launch moves and computes. Nothing is
    /// counted where the build cannot check ([`EmulatorOptions::can_check`]).
    #[cfg(all(feature = "emulator", emulated_kernels))]
    pub fn emulated_and_counted(real: Real, options: EmulatorOptions) -> (Device, Counts) {
        let counts = Counts::default();
        let emulated = emulator::Emulated::counted(real, options, counts.clone());
        (Device::new(Box::new(emulated)), counts)
    }
    /// Runs nothing, adds everything up.
    pub fn null(real: Real) -> Device {
        let arch = Arch {
            compute: 0,
            multiprocessors: 1,
            real,
        };
        Device::new(Box::new(null::Null::new("null".into(), arch, u64::MAX)))
    }
    /// A null device that answers to this one's name and architecture: it makes the same choices, so what
    /// is launched on it takes the memory that it would take here, of which there are `limit` bytes.
    pub fn rehearsal(&self, limit: u64) -> Device {
        Device::new(Box::new(null::Null::new(self.name(), self.arch(), limit)))
    }

    fn new(driver: Box<dyn Driver>) -> Device {
        let (arch, pools) = (driver.arch(), driver.pools());
        let (pool, work) = (Mutex::new(Pool::new(pools)), Mutex::default());
        Device(Arc::new(Inner {
            driver,
            arch,
            pool,
            work,
            recording: Mutex::default(),
            tracer: Mutex::default(),
        }))
    }

    pub fn name(&self) -> String {
        self.0.driver.name()
    }
    pub fn arch(&self) -> Arch {
        self.0.arch
    }
    pub fn real(&self) -> Real {
        self.0.arch.real
    }
    /// Whether launches do anything: first values need not be drawn where they do not.
    pub fn runs(&self) -> bool {
        self.0.driver.runs()
    }
    /// Bytes that the driver can still give; `None` where the device has no memory of its own.
    pub fn free_memory(&self) -> Result<Option<u64>> {
        self.0.driver.free_memory()
    }
    /// Memory in use, in the pool, and at its peak.
    pub fn memory(&self) -> MemoryUse {
        self.0.pool.lock().unwrap().usage()
    }
    pub fn work(&self) -> Work {
        *self.0.work.lock().unwrap()
    }

    /// Uninitialised memory (NaN on the emulator), 256-byte aligned.
    pub fn alloc(&self, bytes: usize) -> Result<Buffer> {
        let (ptr, bytes) = self.0.pool.lock().unwrap().alloc(&*self.0.driver, bytes)?;
        Ok(Buffer {
            ptr,
            bytes,
            device: self.clone(),
        })
    }
    pub(crate) fn upload(&self, to: Ptr, from: &[u8]) -> Result<()> {
        self.refuse_in_capture("upload")?;
        self.0.driver.upload(to, from)
    }
    pub(crate) fn download(&self, from: Ptr, to: &mut [u8]) -> Result<()> {
        self.refuse_in_capture("download")?;
        self.0.driver.download(from, to)
    }
    /// Runs `kernel` after all that was launched before it, or records it for the graph being captured. An
    /// empty grid is no launch.
    pub fn launch<K: Kernel>(&self, kernel: K) -> Result<()> {
        let grid = kernel.grid(self.arch());
        if grid.is_empty() {
            return Ok(());
        }
        let work = Work {
            launches: 1,
            bytes: kernel.bytes(self.real()),
            flops: kernel.flops(),
        };
        let run = move |driver: &dyn Driver| run(driver, &kernel, grid, work);
        if let Some(recording) = &mut *self.0.recording.lock().unwrap() {
            recording.add(work, Box::new(run));
            return Ok(());
        }
        *self.0.work.lock().unwrap() += work;
        let driver = &*self.0.driver;
        if let Some(tracer) = &mut *self.0.tracer.lock().unwrap() {
            return tracer.time(driver, kernel.kernel(self.arch()), work, run);
        }
        run(driver)
    }
    pub fn synchronize(&self) -> Result<()> {
        self.0.driver.synchronize()
    }
}

fn run<K: Kernel>(driver: &dyn Driver, kernel: &K, grid: Grid, work: Work) -> Result<()> {
    let info = kernel.kernel(driver.arch());
    let mut params = Packed::new();
    for (i, map) in kernel.maps(driver.arch()).iter().enumerate() {
        map.check().map_err(|why| crate::Error::Launch {
            kernel: info.name,
            device: driver.name(),
            why: format!("tensor map {i}: {why}"),
        })?;
        let encoded = driver.tensor_map(map)?;
        params.extend(encoded.iter().flat_map(|word| word.to_ne_bytes()));
    }
    let takes_maps = !params.is_empty();
    params.extend_from_slice(&kernel.pack());
    if takes_maps {
        // The struct around maps and parameters is aligned as the maps are, and as long.
        params.resize(params.len().next_multiple_of(tensor_map::ALIGN), 0);
    }
    driver.launch(&Launch {
        kernel: info,
        grid,
        params: &params,
        twin: &|host| kernel.on_cpu(host),
        work,
    })
}

/// Device memory, handed back (in stream order) when dropped.
pub struct Buffer {
    ptr: Ptr,
    bytes: usize,
    device: Device,
}

impl Buffer {
    pub fn ptr(&self) -> Ptr {
        self.ptr
    }
    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let inner = &self.device.0;
        inner
            .pool
            .lock()
            .unwrap()
            .free(&*inner.driver, self.ptr, self.bytes);
    }
}

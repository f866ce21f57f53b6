//! The tensor cores' instructions of sm_80: `ldmatrix` and `mma.m16n8k16` of bf16 with f32 sums. All 32
//! lanes of a warp come to the same line, and the last one works for all. Which lane holds what is said
//! in kernels/ptx.cuh.
use super::{
    block::WARP,
    hooks::{At, Site, meet},
    warp::Call,
    worker::{self, Worker},
};

const ROW_BYTES: usize = 16;

/// What a lane brings to an instruction that is one for its whole warp.
struct Part<T> {
    site: Site,
    operands: T,
}

/// The operands of all lanes.
type Lanes<T> = [T; WARP as usize];

/// The warp meets at one line, as `.sync.aligned` asks of all lanes; the last one does `work`.
///
/// # Safety
/// On a fiber of `worker`; lanes that meet for `what` all bring a `T`.
unsafe fn meet_aligned<T: Copy>(
    worker: *mut Worker,
    what: &'static str,
    site: Site,
    operands: T,
    work: impl FnOnce(&mut Worker, Lanes<T>) -> Result<(), String>,
) {
    // SAFETY: the caller's promise; parts are alive while their lanes wait.
    unsafe {
        let warp = (*worker).block.current / WARP;
        if !(*worker).block.warp_is_whole() {
            let why = format!("{what} at {site}: warp {warp} does not have 32 lanes");
            worker::fail(worker, why);
        }
        let call = Call {
            mask: !0,
            what,
            site,
        };
        meet(worker, call, &mut Part { site, operands }, |meeting| {
            let parts = meeting.parts::<Part<T>>();
            let part = |lane: usize| parts[lane].expect("all lanes have come");
            let others = (0..WARP as usize).map(|lane| (*part(lane)).site);
            let done = match others.clone().find(|&other| other != site) {
                Some(other) => Err(format!(
                    "divergent {what}: lanes of warp {warp} are at {other} and at {site}"
                )),
                None => {
                    let lanes = std::array::from_fn(|lane| (*part(lane)).operands);
                    work(&mut *worker, lanes)
                }
            };
            if let Err(why) = done {
                worker::fail(worker, why);
            }
        });
    }
}

#[derive(Clone, Copy)]
struct Load {
    registers: *mut [u32; 4],
    row: usize,
    /// The instruction that loads.
    at: At,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_load_matrices_at(
    registers: *mut [u32; 4],
    row: usize,
    transposed: bool,
    site: Site,
    at: usize,
) {
    let what = if transposed {
        "load_matrices_transposed"
    } else {
        "load_matrices"
    };
    let at = At::call(at);
    let load = Load { registers, row, at };
    // SAFETY: called by a kernel, on a fiber of the current worker.
    unsafe {
        meet_aligned(worker::current(), what, site, load, |worker, lanes| {
            worker
                .load_matrices(lanes, transposed)
                .map_err(|why| format!("{what} at {site}: {why}"))
        });
    }
}

impl Worker {
    /// # Safety
    /// The lanes' registers are alive.
    unsafe fn load_matrices(&mut self, lanes: Lanes<Load>, transposed: bool) -> Result<(), String> {
        for (lane, load) in lanes.iter().enumerate() {
            self.check_row(load.row)
                .map_err(|why| format!("the row address of lane {lane}: {why}"))?;
        }
        let first = self.block.current / WARP * WARP;
        for (lane, load) in lanes.iter().enumerate() {
            for matrix in 0..4 {
                let numbers = [0, 1].map(|i| {
                    let (row, col) = (lane / 4, lane % 4 * 2 + i);
                    let (row, col) = if transposed { (col, row) } else { (row, col) };
                    lanes[matrix * 8 + row].row + 2 * col
                });
                // Who must have heard of the write is the lane that gets the number.
                let thread = first + lane as u32;
                let (low, high) = (numbers[0], numbers[1]);
                if transposed {
                    self.check_access(thread, low, 2, false, load.at)?;
                    self.check_access(thread, high, 2, false, load.at)?;
                } else {
                    self.check_access(thread, low, 4, false, load.at)?;
                }
                // SAFETY: all rows are inside shared memory.
                let [low, high] = numbers.map(|number| unsafe { *(number as *const u16) });
                // SAFETY: the caller's promise.
                unsafe { (*load.registers)[matrix] = low as u32 | (high as u32) << 16 };
            }
        }
        Ok(())
    }

    fn check_row(&self, row: usize) -> Result<(), String> {
        let Some(offset) = self.shared.offset(row) else {
            return Err("not in shared memory".into());
        };
        if !self.shared.contains(offset, ROW_BYTES) {
            return Err(format!("out of bounds, {}", self.shared.place(offset)));
        }
        if !row.is_multiple_of(ROW_BYTES) {
            let place = self.shared.place(offset);
            return Err(format!("not aligned to 16 bytes, {place}"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Multiply {
    sum: *mut [f32; 4],
    a: *const [u32; 4],
    b: *const [u32; 2],
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_mma(
    sum: *mut [f32; 4],
    a: *const [u32; 4],
    b: *const [u32; 2],
    m: u32,
    n: u32,
    site: Site,
) {
    let operands = Multiply { sum, a, b };
    // SAFETY: called by a kernel, on a fiber of the current worker; the arrays have m n, m and n elements.
    unsafe {
        meet_aligned(worker::current(), "mma_tile", site, operands, |_, lanes| {
            for i in 0..m as usize {
                let a = gather_a(lanes.map(|lane| *lane.a.add(i)));
                for j in 0..n as usize {
                    let b = gather_b(lanes.map(|lane| *lane.b.add(j)));
                    let sums = lanes.map(|lane| lane.sum.add(i * n as usize + j));
                    multiply(sums, &a, &b);
                }
            }
            Ok(())
        });
    }
}

/// The two bf16 numbers of a register, the low half first.
fn unpack(pair: u32) -> [f32; 2] {
    [pair << 16, pair & 0xFFFF_0000].map(f32::from_bits)
}

fn gather_a(lanes: Lanes<[u32; 4]>) -> [[f32; 16]; 16] {
    let mut a = [[0.0; 16]; 16];
    for (lane, registers) in lanes.iter().enumerate() {
        let (row, col) = (lane / 4, lane % 4 * 2);
        for (i, (row, col)) in [
            (row, col),
            (row + 8, col),
            (row, col + 8),
            (row + 8, col + 8),
        ]
        .into_iter()
        .enumerate()
        {
            a[row][col..col + 2].copy_from_slice(&unpack(registers[i]));
        }
    }
    a
}

fn gather_b(lanes: Lanes<[u32; 2]>) -> [[f32; 8]; 16] {
    let mut b = [[0.0; 8]; 16];
    for (lane, registers) in lanes.iter().enumerate() {
        let (row, col) = (lane % 4 * 2, lane / 4);
        for (i, row) in [row, row + 8].into_iter().enumerate() {
            let [upper, lower] = unpack(registers[i]);
            (b[row][col], b[row + 1][col]) = (upper, lower);
        }
    }
    b
}

/// sum (16, 8) += a b. Products are exact; the order of the sum is ours, as the hardware's is its own.
///
/// # Safety
/// The pointers are valid, and each lane's its own.
unsafe fn multiply(sums: Lanes<*mut [f32; 4]>, a: &[[f32; 16]; 16], b: &[[f32; 8]; 16]) {
    let mut c = [[0.0f32; 8]; 16];
    for (c, a) in c.iter_mut().zip(a) {
        for (a, b) in a.iter().zip(b) {
            for (c, b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
    for (lane, sum) in sums.into_iter().enumerate() {
        let (row, col) = (lane / 4, lane % 4 * 2);
        let c = [
            c[row][col],
            c[row][col + 1],
            c[row + 8][col],
            c[row + 8][col + 1],
        ];
        // SAFETY: the caller's promise.
        unsafe { (0..4).for_each(|i| (*sum)[i] += c[i]) };
    }
}

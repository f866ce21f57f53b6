//! The tensor cores' instructions of sm_80: `ldmatrix` and `mma.m16n8k16` of bf16 with f32 sums; and
//! `stmatrix` of sm_90. All 32 lanes of a warp come to the same line, and the last one works for all. Which lane holds what is said
//! in kernels/ptx.cuh.
use super::{
    block::WARP,
    hooks::{At, Site, meet},
    warp::Call,
    worker::{self, Worker},
};

const ROW_BYTES: usize = 16;
/// Of one (16, 8) += (16, 16) (16, 8).
const MMA_FLOPS: u64 = 2 * 16 * 8 * 16;

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

/// How matrices move between registers and shared memory.
#[derive(Clone, Copy)]
struct Move {
    stores: bool,
    transposed: bool,
}

impl Move {
    fn name(self) -> &'static str {
        match (self.stores, self.transposed) {
            (false, false) => "load_matrices",
            (false, true) => "load_matrices_transposed",
            (true, false) => "store_matrices",
            (true, true) => "store_matrices_transposed",
        }
    }

    /// Where a lane's two numbers of a matrix are, as (row, column).
    fn places(self, lane: usize) -> [(usize, usize); 2] {
        [0, 1].map(|i| match (lane / 4, lane % 4 * 2 + i) {
            (row, col) if self.transposed => (col, row),
            place => place,
        })
    }
}

/// A lane's part of it.
#[derive(Clone, Copy)]
struct Lane {
    registers: *mut [u32; 4],
    row: usize,
    /// The instruction.
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
    let stores = false;
    let at = At::call(at);
    let lane = Lane { registers, row, at };
    // SAFETY: called by a kernel, on a fiber of the current worker.
    unsafe { move_matrices(Move { stores, transposed }, lane, site) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_store_matrices_at(
    row: usize,
    registers: *const [u32; 4],
    transposed: bool,
    site: Site,
    at: usize,
) {
    let stores = true;
    let registers = registers.cast_mut(); // read only
    let at = At::call(at);
    let lane = Lane { registers, row, at };
    // SAFETY: as above.
    unsafe { move_matrices(Move { stores, transposed }, lane, site) }
}

/// # Safety
/// On a fiber; `lane.registers` are alive, and the lane's own where it loads.
unsafe fn move_matrices(how: Move, lane: Lane, site: Site) {
    let what = how.name();
    // SAFETY: the caller's promise.
    unsafe {
        meet_aligned(worker::current(), what, site, lane, |worker, lanes| {
            let moved = worker.move_matrices(how, lanes);
            moved.map_err(|why| format!("{what} at {site}: {why}"))
        });
    }
}

impl Worker {
    /// # Safety
    /// The lanes' registers are alive.
    unsafe fn move_matrices(&mut self, how: Move, lanes: Lanes<Lane>) -> Result<(), String> {
        for (number, lane) in lanes.iter().enumerate() {
            self.check_row(lane.row)
                .map_err(|why| format!("the row address of lane {number}: {why}"))?;
        }
        if how.stores {
            check_rows_apart(&lanes)?;
        }
        let first = self.block.current / WARP * WARP;
        for (thread, lane) in (first..).zip(&lanes) {
            self.count_access(thread, lane.row, ROW_BYTES, how.stores, lane.at);
        }
        for (number, lane) in lanes.iter().enumerate() {
            // The access is the lane's whose number it is, whoever gave the row's address.
            let thread = first + number as u32;
            for matrix in 0..4 {
                let [low, high] = how
                    .places(number)
                    .map(|(row, col)| lanes[matrix * 8 + row].row + 2 * col);
                if how.transposed {
                    self.check_access(thread, low, 2, how.stores, lane.at)?;
                    self.check_access(thread, high, 2, how.stores, lane.at)?;
                } else {
                    self.check_access(thread, low, 4, how.stores, lane.at)?;
                }
                // SAFETY: all rows are inside shared memory; and the caller's promise.
                unsafe {
                    let (low, high) = (low as *mut u16, high as *mut u16);
                    if how.stores {
                        let pair = (*lane.registers)[matrix];
                        (*low, *high) = (pair as u16, (pair >> 16) as u16);
                    } else {
                        (*lane.registers)[matrix] = *low as u32 | (*high as u32) << 16;
                    }
                }
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

/// Of rows that are stored to one place, any may be the last.
fn check_rows_apart(lanes: &Lanes<Lane>) -> Result<(), String> {
    for (number, lane) in lanes.iter().enumerate() {
        if let Some(other) = lanes[..number].iter().position(|l| l.row == lane.row) {
            return Err(format!("lanes {other} and {number} give the same row"));
        }
    }
    Ok(())
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
        meet_aligned(
            worker::current(),
            "mma_tile",
            site,
            operands,
            |worker, lanes| {
                worker.counter.tensor_flops(m as u64 * n as u64 * MMA_FLOPS);
                for i in 0..m as usize {
                    let a = gather_a(lanes.map(|lane| *lane.a.add(i)));
                    for j in 0..n as usize {
                        let b = gather_b(lanes.map(|lane| *lane.b.add(j)));
                        let sums = lanes.map(|lane| lane.sum.add(i * n as usize + j));
                        multiply(sums, &a, &b);
                    }
                }
                Ok(())
            },
        );
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

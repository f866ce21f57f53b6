//! How the kernels of planted.cu and planted_matrix.cu are launched; what they should compute is said in tests/emulator.
use crate::device::{Arch, Grid, Host, Kernel, Real, kernels::*};

macro_rules! planted {
    ($($kernel:ident)*) => { $(
        impl Kernel for $kernel {
            fn grid(&self, _: Arch) -> Grid {
                Grid { shared_bytes: 512, ..Grid::blocks([2, 1, 1], [128, 1, 1]) }
            }
            fn bytes(&self, _: Real) -> u64 {
                0
            }
            fn on_cpu(&self, _: &Host) {
                unreachable!("planted kernels are for the emulator")
            }
        }
    )* };
}

planted! {
    SoundSum SoundRotation SoundScan SoundExit SoundHandover SoundCount SoundLock
    SoundTransposition NoSyncwarpAfterStore SharedRow
    NoBarrier NoSecondBarrier NoSyncwarp Unwritten UnsetShared
    WritePastEnd ReadPastEnd WriteBeforeStart SharedOverrun DynamicOverrun LargeFrame DivideByZero TooManyThreads
    Misaligned WideShift LocalIndex NotPassed
    NamedDeadlock DivergentBarrier ShuffleAndBarrier ShuffleMask ShuffleAndVote EndlessLoop EndlessLock
}

macro_rules! planted_products {
    ($($kernel:ident)*) => { $(
        impl Kernel for $kernel {
            fn grid(&self, _: Arch) -> Grid {
                Grid::tiles(self.m, self.n, [64, 64], [128, 1, 1])
            }
            fn bytes(&self, _: Real) -> u64 {
                0
            }
            fn on_cpu(&self, _: &Host) {
                unreachable!("planted kernels are for the emulator")
            }
        }
    )* };
}

planted_products! {
    SoundProduct NoWait ShortWait NoBarrierAfterWait EarlyCopy MisalignedMatrix DivergentProduct HalfWarpProduct
    NeverWaited CopyPastEnd MisalignedCopy CopyOverrun OwnCopyUnwaited
}

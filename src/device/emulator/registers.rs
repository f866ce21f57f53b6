//! setmaxnreg: warpgroups hand registers to each other. Nothing here has registers to hand; what is
//! checked is that whole warps ask, and that a multiprocessor has what all warpgroups together asked for.
use super::{
    block::Block,
    hooks::{self, Site},
    warp::Call,
    warpgroup::WARPGROUP,
    worker,
};

/// Registers of a multiprocessor, for each thread of a warpgroup.
const REGISTERS: u32 = 65536 / WARPGROUP;

impl Block {
    fn set_registers(&mut self, registers: u32) -> Result<(), String> {
        let warpgroup = (self.current / WARPGROUP) as usize;
        let count = self.threads.len().div_ceil(WARPGROUP as usize);
        self.registers.resize(count, None);
        self.registers[warpgroup] = Some(registers);
        let asked: Option<u32> = self.registers.iter().copied().sum();
        match asked.filter(|&asked| asked > REGISTERS) {
            None => Ok(()),
            Some(asked) => Err(format!(
                "the warpgroups ask for {asked} registers a thread in all: there are {REGISTERS}"
            )),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn emulated_set_registers(registers: u32, site: Site) {
    let call = Call {
        mask: !0,
        what: "setmaxnreg",
        site,
    };
    let worker = worker::current();
    // SAFETY: called by a kernel, on a fiber of the current worker.
    unsafe {
        if let Err(why) = (*worker).block.set_registers(registers) {
            worker::fail(worker, format!("{why}, at {site}"));
        }
        hooks::meet(worker, call, &mut (), |_| ());
    }
}

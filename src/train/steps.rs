//! How steps are launched: each anew, or captured once and replayed.
use super::{
    feed::Feed,
    trainer::{Made, Trainer},
};
use crate::{Result, config, device::Graph, methods::Phase};

/// Steps launched one by one before one is captured: what is made when it is first needed is made then,
/// and the pool has a step's memory to give to the graph.
pub const WARM_UP: u32 = 2;

pub struct Steps {
    captures: bool,
    /// One by one.
    launched: u32,
    captured: Option<(Made, Graph)>,
    /// Of the steps launched or captured.
    pub phase: Phase,
}

impl Steps {
    pub fn new(captures: bool) -> Steps {
        Steps {
            captures,
            launched: 0,
            captured: None,
            phase: Phase::default(),
        }
    }
}

impl Trainer {
    pub(super) fn captures(&self) -> bool {
        #[cfg(feature = "fault")]
        if crate::fault::plants_nan() {
            return false;
        }
        match self.config.engine.graph {
            _ if self.device.is_tracing() => false, // a trace is of launches
            config::Graph::Auto => self.device.name().starts_with("cuda"),
            config::Graph::On => true,
            config::Graph::Off => false,
        }
    }

    pub(super) fn advance(&mut self, feed: &Feed, steps: &mut Steps, phase: Phase) -> Result<Made> {
        if steps.phase != phase {
            *steps = Steps::new(steps.captures);
            steps.phase = phase;
        }
        if steps.captured.is_none() && steps.captures && steps.launched >= WARM_UP {
            let device = self.device.clone();
            steps.captured = Some(device.capture(|| self.launch(feed, phase))?);
        }
        match &steps.captured {
            Some((made, graph)) => graph.replay().map(|()| made.clone()),
            None => {
                steps.launched += 1;
                self.launch(feed, phase)
            }
        }
    }
}

//! What a method's numbers mean for few images, said before a run begins: nothing is changed.
use super::build::About;
use crate::config::{Config, MethodName};

/// Each with its reason.
pub fn advice(config: &Config, about: About, steps_per_epoch: u64) -> Vec<String> {
    let (m, images) = (&config.method, about.images);
    let mut advice = Vec::new();
    let kept = [
        (MethodName::Moco, "--queue", m.queue),
        (MethodName::Simclr, "--bank", m.bank),
    ];
    for (method, flag, kept) in kept {
        if m.name == method && kept > images / 2 {
            advice.push(format!(
                "{flag} {kept} is more than half of the {images} images: an image's own key of the epoch before is often among its negatives\n  try {flag} {}",
                largest_power_below(images / 2)
            ));
        }
    }
    if m.name == MethodName::Moco && m.momentum > 0.995 && steps_per_epoch < 300 {
        advice.push(format!(
            "--momentum {} with {steps_per_epoch} steps an epoch: the key encoder needs {:.0} steps to follow\n  try --momentum 0.99",
            m.momentum,
            1.0 / (1.0 - m.momentum)
        ));
    }
    if m.name == MethodName::Swav && m.prototypes > images / 10 {
        advice.push(format!(
            "--prototypes {} for {images} images: fewer than ten images to each\n  try --prototypes {}",
            m.prototypes,
            largest_power_below(images / 10)
        ));
    }
    if m.name == MethodName::Swav && m.queue == 0 && config.schedule.batch < m.prototypes / 2 {
        advice.push(format!(
            "a batch of {} shares out {} prototypes: codes of so few images are noisy\n  try --queue {}, a multiple of the batch",
            config.schedule.batch,
            m.prototypes,
            (m.prototypes * 2).next_multiple_of(config.schedule.batch)
        ));
    }
    if m.name == MethodName::Pirl && m.negatives > images {
        advice.push(format!(
            "--negatives {} from a bank of {images}: each is drawn more than once\n  try --negatives {}",
            m.negatives,
            largest_power_below(images / 2)
        ));
    }
    advice
}

fn largest_power_below(n: usize) -> usize {
    1 << n.max(2).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_longer_than_the_data_is_told_of() {
        let mut config = Config::default();
        config.method.name = MethodName::Moco;
        config.method.queue = 65_536;
        config.method.momentum = 0.999;
        let about = |images| About { images, classes: 0 };
        let told = advice(&config, about(20_000), 78);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("--queue 8192") && told[1].contains("0.99"));
        assert!(advice(&config, about(1_281_167), 5004).is_empty());
        config.method.name = MethodName::Swav;
        config.method.prototypes = 3000;
        config.method.queue = 0;
        let told = advice(&config, about(20_000), 78);
        assert!(told[0].contains("--prototypes 1024"), "{told:?}");
        assert!(told[1].contains("--queue"), "{told:?}");
    }
}

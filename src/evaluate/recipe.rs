//! The linear evaluations of the papers, by name: what each does to features that are frozen.
//!
//! The papers train their classifier on random crops, each image seen anew in every epoch; here features
//! are computed once, of the centre crop. Their cosines fall epoch by epoch (SimCLR's and lightly's step by
//! step), here all fall step by step. Everything else is theirs.
use super::linear::{HeadInit, LinearPlan, RateDecay, Scaling};
use crate::{Error, Result};
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Ours: standardised features, the rate searched among ten on a held-out tenth, a cosine over 100
    /// epochs. It fits features of any scale, so methods can be compared by it.
    Search,
    /// MoCo's `main_lincls.py`: rate 30, x .1 at epochs 60 and 80 of 100, batch 256, no weight decay.
    Moco,
    /// SwAV's `eval_linear.py`: rate .3 by a cosine, weight decay 1e-6, batch 256, 100 epochs.
    Swav,
    /// Barlow Twins' `evaluate.py`: the same numbers as SwAV's.
    Barlow,
    /// SimCLR's README for ImageNet: Nesterov, rate .1 x batch / 256 by a cosine, weight decay 1e-6,
    /// batch 4096, 90 epochs, first weights 0.
    Simclr,
    /// lightly's benchmark: rate .1 x batch / 256 by a cosine, no weight decay, batch 256, 90 epochs,
    /// PyTorch's first weights.
    Lightly,
}

impl Recipe {
    pub const ALL: [(&'static str, Recipe); 6] = [
        ("search", Recipe::Search),
        ("moco", Recipe::Moco),
        ("swav", Recipe::Swav),
        ("barlow", Recipe::Barlow),
        ("simclr", Recipe::Simclr),
        ("lightly", Recipe::Lightly),
    ];

    pub fn name(self) -> &'static str {
        let named = Recipe::ALL.iter().find(|(_, recipe)| *recipe == self);
        named.expect("listed").0
    }

    /// For `images` training images; `batch` where it is to be another than the recipe's. Rates that
    /// follow the batch follow the one that is used.
    pub fn plan(self, images: usize, batch: Option<usize>) -> LinearPlan {
        let usual = if self == Recipe::Simclr { 4096 } else { 256 };
        let batch = batch.unwrap_or(usual).min(images);
        let linear_in_batch = vec![0.1 * batch as f32 / 256.0];
        let raw = LinearPlan {
            batch,
            scaling: Scaling::Raw,
            init: HeadInit::Normal(0.01),
            ..LinearPlan::default()
        };
        match self {
            Recipe::Search => LinearPlan {
                batch,
                ..LinearPlan::default()
            },
            Recipe::Moco => LinearPlan {
                rates: vec![30.0],
                decay: RateDecay::Steps {
                    at: &[60, 80],
                    of: 100,
                    by: 0.1,
                },
                ..raw
            },
            Recipe::Swav | Recipe::Barlow => LinearPlan {
                rates: vec![0.3],
                weight_decay: 1e-6,
                ..raw
            },
            Recipe::Simclr => LinearPlan {
                epochs: 90,
                rates: linear_in_batch,
                nesterov: true,
                weight_decay: 1e-6,
                init: HeadInit::Zero,
                ..raw
            },
            Recipe::Lightly => LinearPlan {
                epochs: 90,
                rates: linear_in_batch,
                init: HeadInit::Uniform,
                ..raw
            },
        }
    }

    /// Why its rate may not suit the features at hand.
    pub fn caution(self) -> Option<&'static str> {
        match self {
            Recipe::Moco => Some(
                "rate 30 was found for MoCo's features, which are small: on others it may diverge, where SwAV and Barlow Twins take .3",
            ),
            Recipe::Swav | Recipe::Barlow => Some(
                "rate .3 was found for this method's features at ResNet-50: MoCo's, which are smaller, take 30",
            ),
            Recipe::Search | Recipe::Simclr | Recipe::Lightly => None,
        }
    }
}

impl FromStr for Recipe {
    type Err = Error;
    fn from_str(name: &str) -> Result<Recipe> {
        let found = Recipe::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, recipe)| *recipe).ok_or_else(|| {
            let names = Recipe::ALL.map(|(name, _)| name).join(", ");
            Error::Config(format!("unknown recipe `{name}`; there are {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ImageNet's 1,281,167 images, the batch each recipe was published with.
    #[test]
    fn plans_have_the_papers_numbers() {
        let numbers = |recipe: Recipe, batch| {
            let plan = recipe.plan(1_281_167, batch);
            (plan.epochs, plan.batch, plan.rates, plan.weight_decay)
        };
        let wanted = |epochs, batch, rate, decay| (epochs, batch, vec![rate], decay);
        assert_eq!(numbers(Recipe::Moco, None), wanted(100, 256, 30.0, 0.0));
        assert_eq!(numbers(Recipe::Swav, None), wanted(100, 256, 0.3, 1e-6));
        assert_eq!(numbers(Recipe::Barlow, None), wanted(100, 256, 0.3, 1e-6));
        assert_eq!(numbers(Recipe::Simclr, None), wanted(90, 4096, 1.6, 1e-6));
        assert_eq!(numbers(Recipe::Lightly, None), wanted(90, 256, 0.1, 0.0));
        assert_eq!(
            numbers(Recipe::Lightly, Some(512)),
            wanted(90, 512, 0.2, 0.0)
        );
        assert_eq!(Recipe::Simclr.plan(1024, None).rates, [0.4]); // 1024 images are one batch
        assert_eq!(Recipe::Search.plan(1000, None), LinearPlan::default());
    }

    #[test]
    fn names_read_back() {
        for (name, recipe) in Recipe::ALL {
            assert_eq!(name.parse::<Recipe>().unwrap(), recipe);
            assert_eq!(recipe.name(), name);
        }
        assert!("mocov4".parse::<Recipe>().is_err());
    }
}

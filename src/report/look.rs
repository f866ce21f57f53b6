//! What a run's weights see of images: where each lies among the others, which are near it, and for SwAV
//! which prototype it belongs to.
use super::{
    Trained,
    album::{Album, Filling, Source},
};
use crate::{
    Error, Result,
    evaluate::{Principal, l2_normalized, neighbours, principal, tsne},
};
use serde::Serialize;

/// Images whose neighbours are shown, and how many of each.
const QUERIES: usize = 12;
const NEIGHBOURS: usize = 8;
/// Prototypes shown, and images of each.
const PROTOTYPES: usize = 12;
const EXAMPLES: usize = 8;

#[derive(Serialize)]
pub struct Gallery {
    /// `validation images` or `training images`, and as which they were named.
    pub kind: &'static str,
    pub specs: Vec<String>,
    /// Of all there are; the album holds those shown.
    pub of: usize,
    pub album: Album,
    /// A run's each, in the order of runs; null of a run that has no weights yet.
    pub looks: Vec<Option<Look>>,
}

#[derive(Serialize)]
pub struct Look {
    /// Of the weights.
    pub step: u64,
    /// Places on the first two principal components, and these components' shares of the variance.
    pub pca: Vec<[f32; 2]>,
    pub shares: [f32; 2],
    /// Places by t-SNE; null of a few images.
    pub tsne: Option<Vec<[f32; 2]>>,
    pub neighbours: Vec<Query>,
    /// The images that neighbours were looked for among, where they are not the album's: those found.
    pub bank: Option<Album>,
    /// SwAV's.
    pub prototypes: Option<Prototypes>,
}

/// An image of the album, and the nearest to it with their cosines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Query {
    pub image: u32,
    pub found: Vec<(u32, f32)>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prototypes {
    pub all: usize,
    /// Those that any image belongs to.
    pub used: usize,
    /// The first of them.
    pub most_used: Vec<Prototype>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prototype {
    pub number: u32,
    /// Images of which it is the nearest.
    pub count: usize,
    /// Those nearest to it among them.
    pub images: Vec<u32>,
}

/// Images and what a network made of them.
pub struct Seen {
    pub small: Filling,
    /// Rows of length 1.
    unit: Vec<f32>,
    features: Vec<f32>,
    dim: usize,
}

impl Seen {
    /// `progress(images done)`; bad images are left out.
    pub fn of(
        trained: &Trained,
        source: &Source,
        workers: usize,
        progress: &dyn Fn(usize),
    ) -> Result<Seen> {
        let encoder = trained.encoder();
        let size = encoder.input.size;
        let (mut small, mut features, mut done) = (Filling::new(size), Vec::new(), 0);
        encoder.embed_all(&source.images, workers, |batch, rows| {
            small.add(&source.images, batch, size);
            features.extend_from_slice(rows);
            done += batch.ids.len() + batch.bad.len();
            progress(done);
            Ok(())
        })?;
        if small.len() == 0 {
            let (count, specs) = (source.images.len(), source.specs.join(" "));
            let why = format!("none of the {count} images of {specs} can be read");
            return Err(Error::Data(why));
        }
        Ok(Seen {
            small,
            unit: l2_normalized(&features, encoder.dim()),
            features,
            dim: encoder.dim(),
        })
    }

    /// (images, dim), rows of length 1.
    pub fn unit(&self) -> &[f32] {
        &self.unit
    }

    pub fn dim(&self) -> usize {
        self.dim
    }

    pub fn principal(&self) -> Principal {
        principal(&self.unit, self.dim)
    }

    /// Of some images spread over all, the nearest in `bank`; of an image itself, where `bank` is `self`,
    /// nothing is said.
    pub fn queries(&self, bank: &Seen, queries: usize, each: usize) -> Vec<Query> {
        let n = self.small.len();
        let own = std::ptr::eq(self, bank);
        // Each from the middle of its share: a folder's first image is often an odd one.
        let count = queries.min(n);
        let images = (0..count).map(|i| ((2 * i + 1) * n / (2 * count)) as u32);
        let query = |image: u32| {
            let row = &self.unit[image as usize * self.dim..][..self.dim];
            let found = neighbours(&bank.unit, row, self.dim, each + own as usize);
            let others = found[0].iter().filter(|found| !own || found.row != image);
            let found = others.take(each).map(|found| (found.row, found.similarity));
            Query {
                image,
                found: found.collect(),
            }
        };
        images.map(query).collect()
    }
}

impl Look {
    /// At `seen`; neighbours are looked for in `bank`, or in `seen` itself.
    pub fn at(trained: &Trained, seen: &Seen, bank: Option<(&Seen, &[String])>) -> Result<Look> {
        let pca = seen.principal();
        let tsne = tsne(&seen.unit, seen.dim, &pca);
        let mut queries = seen.queries(bank.map_or(seen, |(bank, _)| bank), QUERIES, NEIGHBOURS);
        let bank = bank.map(|(bank, classes)| found_in(bank, classes, &mut queries));
        let scores = trained.scores(&seen.features)?;
        Ok(Look {
            step: trained.step,
            tsne,
            neighbours: queries,
            bank: bank.transpose()?,
            prototypes: scores.map(|(scores, k)| most_used(&scores, k)),
            pca: pca.points,
            shares: pca.shares,
        })
    }
}

/// An album of what was found in `bank`, by whose numbers `queries` then go.
fn found_in(bank: &Seen, classes: &[String], queries: &mut [Query]) -> Result<Album> {
    let found = queries.iter().flat_map(|query| &query.found);
    let mut chosen: Vec<u32> = found.map(|(image, _)| *image).collect();
    chosen.sort_unstable();
    chosen.dedup();
    for (image, _) in queries.iter_mut().flat_map(|query| &mut query.found) {
        *image = chosen.binary_search(image).expect("it was chosen") as u32;
    }
    bank.small.only(&chosen).done(classes)
}

/// scores (n, `k`): an image belongs to the prototype of its highest.
fn most_used(scores: &[f32], k: usize) -> Prototypes {
    let mut members: Vec<Vec<(f32, u32)>> = vec![Vec::new(); k];
    for (image, row) in scores.chunks_exact(k).enumerate() {
        let best = row.iter().copied().enumerate();
        let best = best.reduce(|a, b| if b.1 > a.1 { b } else { a });
        let (prototype, score) = best.expect("there are prototypes");
        members[prototype].push((score, image as u32));
    }
    let mut used: Vec<(usize, Vec<(f32, u32)>)> = members.into_iter().enumerate().collect();
    used.retain(|(_, members)| !members.is_empty());
    used.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let count = used.len();
    let shown = used
        .into_iter()
        .take(PROTOTYPES)
        .map(|(number, mut members)| {
            members.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let nearest = members.iter().take(EXAMPLES);
            Prototype {
                number: number as u32,
                count: members.len(),
                images: nearest.map(|(_, image)| *image).collect(),
            }
        });
    Prototypes {
        all: k,
        used: count,
        most_used: shown.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_used_prototype_stands_first_with_its_nearest_images() {
        let scores = [
            [0.1, 0.9, 0.0], // 0 belongs to 1
            [0.8, 0.1, 0.0], // 1 to 0
            [0.0, 0.95, 0.3],
            [0.2, 0.5, 0.4],
        ];
        let used = most_used(&scores.concat(), 3);
        let wanted = |number, count, images: &[u32]| Prototype {
            number,
            count,
            images: images.to_vec(),
        };
        assert_eq!((used.all, used.used), (3, 2));
        assert_eq!(
            used.most_used,
            [wanted(1, 3, &[2, 0, 3]), wanted(0, 1, &[1])]
        );
    }
}

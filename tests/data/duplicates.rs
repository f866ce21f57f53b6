//! Which images are told to be, or to look like, others.
use image::imageops;
use selfsame::data::Image;
use selfsame::data::duplicates::{ALIKE_BITS, alike, equal};
use selfsame::data::inspect::{LOOK_BITS, Look, look};
use selfsame::random::{Draws, Purpose};

use super::samples::open;

/// As large as a photograph: a small one's every pixel is a difference.
fn picture(index: usize) -> Image {
    let small = open("synthetic:200:32").decode(index).unwrap();
    changed(&small, |i| {
        imageops::resize(&i, 256, 256, imageops::CatmullRom)
    })
}

fn changed(image: &Image, change: impl Fn(image::RgbImage) -> image::RgbImage) -> Image {
    let image = image::RgbImage::from_raw(image.width, image.height, image.pixels.clone());
    let image = change(image.unwrap());
    Image {
        width: image.width(),
        height: image.height(),
        pixels: image.into_raw(),
    }
}

fn distance(a: &Image, b: &Image) -> u32 {
    look(a).distance(&look(b))
}

/// Another size and a little more light leave a look as it is; another picture or a mirrored one does not.
#[test]
fn a_look_is_of_the_picture_not_of_the_file() {
    let mut same = 0;
    for index in 0..50 {
        let image = picture(index);
        let size = changed(&image, |i| {
            imageops::resize(&i, 160, 160, imageops::Triangle)
        });
        let light = changed(&image, |i| imageops::brighten(&i, 8));
        same += usize::from(distance(&image, &size) <= ALIKE_BITS);
        same += usize::from(distance(&image, &light) <= ALIKE_BITS);
        let mirrored = changed(&image, |i| imageops::flip_horizontal(&i));
        assert!(distance(&image, &mirrored) > ALIKE_BITS);
        assert!(distance(&image, &picture(index + 100)) > ALIKE_BITS);
    }
    assert!(same >= 95, "{same} of 100 are known again");
}

#[test]
fn equal_hashes_are_grouped() {
    assert_eq!(equal(&[5, 1, 5, 2, 1, 5]), [vec![0, 2, 5], vec![1, 4]]);
    assert!(equal(&[1, 2, 3]).is_empty());
}

/// As comparing every two: looks in clusters, up to one bit more than allowed apart.
#[test]
fn alike_finds_what_comparing_every_two_finds() {
    for seed in 0..20 {
        let mut draws = Draws::new(seed, Purpose::Split, 0, 0, 0);
        let mut looks: Vec<Look> = Vec::new();
        for _ in 0..12 {
            let centre = Look([0; _]).0.map(|_: u16| draws.bits() as u16);
            looks.push(Look(centre));
            let mut far = centre;
            // Each of another part of 16 bits: as few equal parts as there can be.
            let first = draws.below(LOOK_BITS);
            for number in 0..ALIKE_BITS + draws.below(2) {
                let bit = ((first + 16 * number) % LOOK_BITS) as usize;
                far[bit / 16] ^= 1 << (bit % 16);
            }
            looks.extend([far, centre, centre.map(|part| !part)].map(Look));
        }
        let mut groups: Vec<Vec<u32>> = (0..looks.len() as u32).map(|i| vec![i]).collect();
        for a in 0..looks.len() {
            for b in 0..a {
                if looks[a].distance(&looks[b]) <= ALIKE_BITS {
                    let at = |i: usize, groups: &[Vec<u32>]| {
                        groups.iter().position(|g| g.contains(&(i as u32))).unwrap()
                    };
                    let (from, to) = (at(a, &groups), at(b, &groups));
                    if from != to {
                        let moved = std::mem::take(&mut groups[from]);
                        groups[to].extend(moved);
                    }
                }
            }
        }
        groups.retain(|group| group.len() > 1);
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort_unstable();
        assert_eq!(alike(&looks), groups, "seed {seed}");
    }
}

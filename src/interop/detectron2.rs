//! detectron2's names for a ResNet: `stem.conv1.norm.weight`, `res2.0.shortcut.weight`. Its stages are
//! counted from 2, and a convolution's batch norm is inside it.

/// Of torchvision's `layer1.0.bn1.weight`: `res2.0.conv1.norm.weight`. `None` of what is no backbone's.
pub fn from_torchvision(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("conv1.") {
        return Some(format!("stem.conv1.{part}"));
    }
    if let Some(part) = name.strip_prefix("bn1.") {
        return Some(format!("stem.conv1.norm.{part}"));
    }
    let (stage, block, rest) = block(name, "layer")?;
    let rest = match rest.split_once('.')? {
        ("downsample", part) => match part.split_once('.')? {
            ("0", part) => format!("shortcut.{part}"),
            (_, part) => format!("shortcut.norm.{part}"),
        },
        (layer, part) => match layer.strip_prefix("bn") {
            Some(number) => format!("conv{number}.norm.{part}"),
            None => format!("{layer}.{part}"),
        },
    };
    Some(format!("res{}.{block}.{rest}", stage + 1))
}

/// The way back.
pub fn to_torchvision(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("stem.conv1.") {
        return Some(match part.strip_prefix("norm.") {
            Some(part) => format!("bn1.{part}"),
            None => format!("conv1.{part}"),
        });
    }
    let (stage, block, rest) = block(name, "res")?;
    let (layer, part) = rest.split_once('.')?;
    let rest = match (layer, part.strip_prefix("norm.")) {
        ("shortcut", Some(part)) => format!("downsample.1.{part}"),
        ("shortcut", None) => format!("downsample.0.{part}"),
        (_, Some(part)) => format!("bn{}.{part}", layer.strip_prefix("conv")?),
        (_, None) => rest.into(),
    };
    Some(format!("layer{}.{block}.{rest}", stage.checked_sub(1)?))
}

/// `layer1.0.conv1.weight`: 1, `0`, `conv1.weight`.
fn block<'a>(name: &'a str, stage: &str) -> Option<(usize, &'a str, &'a str)> {
    let (number, rest) = name.strip_prefix(stage)?.split_once('.')?;
    let (block, rest) = rest.split_once('.')?;
    Some((number.parse().ok()?, block, rest))
}

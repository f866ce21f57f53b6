//! Charts as files: what an SVG says, and that a PNG holds what it says.
use selfsame::figure::{Chart, Data, Format, Frame, Grid, Line, Series, Tile};
use std::path::Path;

fn chart(data: Data) -> Chart {
    Chart {
        title: "A < B & C".into(),
        x: "epoch".into(),
        y: "loss (nats)".into(),
        data,
        level: None,
    }
}

fn series() -> Vec<Series> {
    let series = |name: &str, values: [f64; 3]| Series {
        name: name.into(),
        values: values.to_vec(),
    };
    vec![
        series("first", [10.0, 20.0, 30.0]),
        series("second", [15.0, f64::NAN, 35.0]),
    ]
}

fn categories() -> Vec<String> {
    ["conv1", "layer1", "layer2"].map(String::from).into()
}

fn svg(data: Data) -> String {
    String::from_utf8(chart(data).render(Format::Svg).unwrap()).unwrap()
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn an_svg_holds_titles_units_categories_and_a_legend() {
    let text = svg(Data::Categories(categories(), series()));
    for word in [
        "A &lt; B &amp; C",
        "loss (nats)",
        "epoch",
        "layer1",
        "first",
        "second",
    ] {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
    // A mark for each value and one in the legend: circles for the first, squares for the second.
    assert_eq!(count(&text, "<circle"), 4);
    assert_eq!(count(&text, "<polygon"), 3);
    assert_eq!(text, svg(Data::Categories(categories(), series())));
}

#[test]
fn a_level_lies_across_and_within_the_axis() {
    let with = |value| {
        let level = Some(("untrained".to_string(), value));
        let bars = Data::Bars(categories(), series());
        let chart = Chart {
            level,
            ..chart(bars)
        };
        String::from_utf8(chart.render(Format::Svg).unwrap()).unwrap()
    };
    assert!(with(20.0).contains("untrained"));
    assert!(with(90.0).contains("\n80\n") && !with(20.0).contains("\n80\n"));
}

#[test]
fn bars_stand_on_zero_and_a_missing_value_has_none() {
    let text = svg(Data::Bars(categories(), series()));
    assert_eq!(count(&text, "<polygon"), 5 + 2); // and the legend's
    assert!(text.contains("\n0\n"), "{text}");
}

#[test]
fn one_line_needs_no_legend() {
    let points = (0..50).map(|i| (i as f64, (i * i) as f64)).collect();
    let text = svg(Data::Lines(vec![Line {
        name: "alone".into(),
        points,
    }]));
    assert!(!text.contains("alone"));
    assert!(text.contains("2500"));
}

/// The colour of the first line is there, that of the third is not; paper is white.
#[test]
fn a_png_shows_the_same() {
    let bytes = chart(Data::Categories(categories(), series()))
        .render(Format::Png)
        .unwrap();
    let image = image::load_from_memory(&bytes).unwrap().into_rgb8();
    assert_eq!(image.dimensions(), (2160, 1350));
    let pixels = |color: [u8; 3]| image.pixels().filter(|pixel| pixel.0 == color).count();
    assert!(pixels([0, 114, 178]) > 2000 && pixels([213, 94, 0]) > 500);
    assert_eq!(pixels([0, 158, 115]), 0);
    assert!(pixels([255, 255, 255]) > 2160 * 1350 / 2);
    assert!(pixels([17, 17, 17]) > 1000); // letters
}

#[test]
fn dots_are_not_joined() {
    let cloud = |name: &str, y: f64| Line {
        name: name.into(),
        points: (0..9).map(|x| (x as f64, y)).collect(),
    };
    let text = svg(Data::Dots(vec![cloud("cats", 1.0), cloud("dogs", 2.0)]));
    assert_eq!(count(&text, "<circle"), 2 * (9 + 1)); // and the legend's
    assert!(text.contains("cats") && text.contains("dogs"));
    let colored = text.lines().filter(|line| line.contains("#0072B2"));
    assert!(colored.into_iter().all(|line| line.starts_with("<circle")));
}

/// A red and a blue image, and dashes around the second.
#[test]
fn a_grid_shows_its_images_where_their_captions_are() {
    let tile = |color: [u8; 3], frame| Tile {
        side: 2,
        pixels: color.repeat(4),
        caption: "0.93 <b>".into(),
        frame,
    };
    let row = vec![
        tile([200, 10, 10], Frame::None),
        tile([10, 10, 200], Frame::Other),
    ];
    let grid = Grid {
        title: "neighbours".into(),
        rows: vec![row],
    };
    let text = String::from_utf8(grid.render(Format::Svg).unwrap()).unwrap();
    assert_eq!(count(&text, "<image "), 2);
    assert!(
        count(&text, "0.93 &lt;b&gt;") == 2 && text.ends_with("</svg>\n"),
        "{text}"
    );
    let png = image::load_from_memory(&grid.render(Format::Png).unwrap()).unwrap();
    let png = png.into_rgb8();
    let pixels = |color: [u8; 3]| png.pixels().filter(|pixel| pixel.0 == color).count();
    assert_eq!(pixels([200, 10, 10]), 216 * 216); // 72 units of 3 pixels
    assert_eq!(pixels([10, 10, 200]), 216 * 216);
    assert!(pixels([213, 94, 0]) > 500, "a frame");
}

#[test]
fn a_chart_of_nothing_is_still_drawn() {
    for data in [
        Data::Lines(Vec::new()),
        Data::Categories(Vec::new(), Vec::new()),
        Data::Bars(categories(), Vec::new()),
    ] {
        assert!(svg(data).contains("loss (nats)"));
    }
}

#[test]
fn a_figures_format_is_its_extension() {
    assert_eq!(Format::of(Path::new("a/b.png")).unwrap(), Format::Png);
    assert_eq!(Format::of(Path::new("b.svg")).unwrap(), Format::Svg);
    assert!(Format::of(Path::new("b.pdf")).is_err());
}

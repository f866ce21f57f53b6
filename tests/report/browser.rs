//! A page in a browser: what a reader meets. Without a Chromium the test says so, and proves nothing.
use super::{CLASS, RUNS, report};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
};

const PROBE: &str = include_str!("probe.js");

fn chromium() -> Option<&'static str> {
    let known = ["chromium", "chromium-browser", "google-chrome"];
    known.into_iter().find(|name| {
        let mut command = Command::new(name);
        let command = command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// What the probe saw of `page`; a line on the console fails.
fn seen(browser: &str, page: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let alert = "<head>\n<script>window.alert = () => { window.alerted = true; };</script>";
    let page = page.replacen("<head>", alert, 1);
    let probe = format!("<script>{PROBE}</script></body>");
    fs::write(&file, page.replace("</body>", &probe)).unwrap();
    let output = Command::new("timeout")
        .arg("120")
        .arg(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--enable-logging=stderr", "--window-size=1200,900"])
        .arg("--virtual-time-budget=20000")
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let (dom, log) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let console: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(console.is_empty(), "{}", console.join("\n"));
    let note = dom.split_once("<pre id=\"probe\">").unwrap_or_else(|| {
        panic!("the probe left nothing; {}:\n{log}", output.status);
    });
    let note = note.1.split_once("</pre>").unwrap().0;
    let note = note
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&note).unwrap()
}

#[test]
fn in_a_browser_hovering_shows_the_image_and_the_legends_toggle() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium, chromium-browser or google-chrome here");
        return;
    };
    let runs = [RUNS.path("simclr"), RUNS.path("swav")];
    let (page, _) = report(&[&runs[0], &runs[1]], &[]);
    let seen = seen(browser, &page);
    assert!(seen["error"].is_null(), "{seen}");
    assert_eq!(seen["alerted"], false);
    assert_eq!(seen["fetched"], serde_json::json!([]));
    assert_eq!(
        (&seen["dots"], &seen["dotsOfOther"]),
        (&24.into(), &24.into())
    );

    assert_eq!(seen["tipBefore"], false);
    assert_eq!(
        (&seen["tip"], &seen["tipByKey"]),
        (&true.into(), &true.into()),
        "{seen}"
    );
    assert_eq!(seen["tipAfter"], false);
    let text = seen["tipText"].as_str().unwrap();
    assert!(text.contains(".ppm") && text.contains(CLASS), "{text}");
    assert_eq!(seen["sheet"], serde_json::json!([5 * 16, 5 * 16]));

    assert_eq!(seen["classes"], serde_json::json!([CLASS, "grey"]));
    assert_eq!(
        (&seen["dotsWithoutOne"], &seen["dotsAgain"]),
        (&12.into(), &24.into())
    );
    assert!(seen["lines"].as_u64().unwrap() >= 8, "{seen}");
    assert_eq!(
        (&seen["linesWithout"], &seen["pressed"]),
        (&0.into(), &"false".into())
    );
    assert_eq!(seen["linesAgain"], seen["lines"]);
    let readout = seen["readout"].as_str().unwrap();
    assert!(
        readout.contains("step") && readout.contains("swav"),
        "{readout}"
    );
}

//! What a study leaves to be read: a table, sentences, a figure, and all numbers.
use super::{Findings, Study, runner::Runner, write};
use crate::{
    Result,
    figure::{Chart, Format},
};
use std::fmt;

pub struct Report {
    pub table: Table,
    /// Sentences, each following from the numbers.
    pub seen: Vec<String>,
    pub chart: Chart,
    /// Of each run.
    pub runs: serde_json::Value,
}

/// Shown as Markdown, its columns aligned: it reads on a terminal too.
pub struct Table {
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// `STUDY.md`, `STUDY.json` and `STUDY.svg`.
    pub fn write(&self, study: &Study, runner: &Runner) -> Result<Findings> {
        let (plan, out) = (runner.plan, runner.place.out);
        let path = |ending: &str| out.join(format!("{}.{ending}", study.name));
        let text = format!("{}\n{}", self.table, list(&self.seen));
        let (bank, queries) = (runner.neighbours.bank(), runner.neighbours.queries());
        let page = format!(
            "# {}\n\n{}\n\n{} images ({}); {} steps of {} where nothing else is said, seed {}. \
             Accuracies are of {} images told by {} others.\n\n{}\n![{}]({0}.svg)\n\n## Seen\n\n{}",
            study.name,
            study.about,
            runner.dataset.len(),
            plan.images.join(" "),
            plan.steps,
            plan.batch,
            plan.seed,
            queries.len(),
            bank.len(),
            self.table,
            self.chart.title,
            list(&self.seen)
        );
        let numbers = serde_json::json!({
            "study": plan,
            "images": runner.dataset.len(),
            "bank": bank.len(),
            "queries": queries.len(),
            "seen": self.seen,
            "runs": self.runs,
        });
        let pretty = serde_json::to_vec_pretty(&numbers).expect("strings and numbers");
        write(&path("svg"), &self.chart.render(Format::Svg)?)?;
        write(&path("json"), &pretty)?;
        write(&path("md"), page.as_bytes())?;
        Ok(Findings { text, numbers })
    }
}

fn list(sentences: &[String]) -> String {
    let items = sentences.iter().map(|sentence| format!("* {sentence}\n"));
    items.collect()
}

impl Table {
    pub fn new(columns: &[&'static str]) -> Table {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        assert_eq!(row.len(), self.columns.len(), "a cell a column");
        self.rows.push(row);
    }
}

/// The first column to the left, numbers to the right.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let heads = || self.columns.iter().map(|head| head.to_string()).collect();
        let rows = [heads()].into_iter().chain(self.rows.iter().cloned());
        let rows: Vec<Vec<String>> = rows.collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(2)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    match column {
                        0 => write!(f, "|:{:-<width$}-", "")?,
                        _ => write!(f, "|-{:-<width$}:", "")?,
                    }
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_with_aligned_columns() {
        let mut table = Table::new(&["run", "kNN %"]);
        table.row(["simclr".into(), "45.1".into()]);
        table.row(["é".into(), "7".into()]);
        let wanted = "\
| run    | kNN % |
|:-------|------:|
| simclr |  45.1 |
| é      |     7 |
";
        assert_eq!(table.to_string(), wanted);
    }
}

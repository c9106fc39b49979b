//! How what commands found is printed: tables for people, JSON and YAML for programs.

use anyhow::Result;
use serde::Serialize;

/// A form of output, as kubectl names them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    #[value(alias = "text")]
    Table,
    /// The same with more columns
    Wide,
    /// For programs
    Json,
    /// For programs, and for people who look for everything
    Yaml,
}

impl Output {
    /// Prints the value for programs, else what people read; `wide` tells whether they want more columns.
    pub fn print(self, value: &impl Serialize, text: impl FnOnce(bool) -> String) -> Result<()> {
        let printed = match self {
            Output::Table => text(false),
            Output::Wide => text(true),
            Output::Json => serde_json::to_string_pretty(value)? + "\n",
            Output::Yaml => serde_saphyr::to_string(value)?,
        };
        super::print(&printed);
        Ok(())
    }
}

/// Rows in columns as wide as their widest cell.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let widths: Vec<_> = (0..columns).map(|column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(column, width)| format!("{:<width$}", cell(row, column)));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A row of texts that stand in the program.
pub fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(table(&[row(&["A", "LONG"]), row(&["wide", "b"])]), "A      LONG\nwide   b\n");
    }
}

//! Rounds, medians and ratios.

use serde::Serialize;

/// Rounds of every row: reference and ours by turns.
pub(crate) const ROUNDS: usize = 5;

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// Times, memory.
    Lower,
    /// Rates.
    Higher,
}

/// One side's figures over the rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figures {
    pub(crate) min: f64,
    pub(crate) median: f64,
    /// The largest less the smallest.
    pub(crate) spread: f64,
}

impl Figures {
    /// Of at least one figure.
    pub(crate) fn of(figures: &[f64]) -> Self {
        let sorted = sorted(figures);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        Self { min, median: quantile(&sorted, 0.5), spread: max - min }
    }
}

/// What a row of the table says.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) reference: Option<Figures>,
    pub(crate) ours: Option<Figures>,
    /// Ours by the reference, of the medians.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: String,
    /// Absent when the row could not run; `why_null` says why.
    pub(crate) met: Option<bool>,
    pub(crate) why_null: Option<String>,
}

impl Row {
    /// A row whose goal is a ratio: at most `goal` when lower is better, at least `goal` when higher is.
    pub(crate) fn ratio(
        id: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        better: Better,
        goal: f64,
        rounds: &Rounds,
    ) -> Self {
        let (reference, ours) = (Figures::of(&rounds.reference), Figures::of(&rounds.ours));
        let ratio = ours.median / reference.median;
        let (met, sign) = match better {
            Better::Lower => (ratio <= goal, "<="),
            Better::Higher => (ratio >= goal, ">="),
        };
        Self {
            id,
            what: what.into(),
            unit,
            better,
            reference: Some(reference),
            ours: Some(ours),
            ratio: Some(ratio),
            goal: format!("ratio {sign} {goal:.2}"),
            met: Some(met),
            why_null: None,
        }
    }

    /// A row whose goal is a figure of ours.
    pub(crate) fn figure(
        id: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        goal: f64,
        ours: &[f64],
    ) -> Self {
        let ours = Figures::of(ours);
        Self {
            id,
            what: what.into(),
            unit,
            better: Better::Lower,
            reference: None,
            ours: Some(ours),
            ratio: None,
            goal: format!("<= {goal}"),
            met: Some(ours.median <= goal),
            why_null: None,
        }
    }

    /// Figures of ours that stand beside a row and have no goal of their own.
    pub(crate) fn beside(
        id: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        better: Better,
        ours: &[f64],
    ) -> Self {
        let ours = Some(Figures::of(ours));
        Self { ours, unit, better, ..Self::null(id, what, "stands beside the row above, without a goal of its own") }
    }

    /// A row that cannot run here.
    pub(crate) fn null(id: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            id,
            what: what.into(),
            unit: "",
            better: Better::Lower,
            reference: None,
            ours: None,
            ratio: None,
            goal: String::new(),
            met: None,
            why_null: Some(why.into()),
        }
    }
}

/// Figures of both sides, one for each round.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) reference: Vec<f64>,
    pub(crate) ours: Vec<f64>,
}

/// The value below which a share of the sorted figures lies.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index between 0 and last")]
    let index = (share * last as f64).round() as usize;
    sorted[index.min(last)]
}

/// In ascending order.
pub(crate) fn sorted(figures: &[f64]) -> Vec<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// One aligned line for each row.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<12} {:<58} {:>14} {:>14} {:>7}  {:<14} {}\n",
        "id", "what", "reference", "ours", "ratio", "goal", "met"
    );
    for row in rows {
        let side =
            |figures: Option<Figures>| figures.map_or("-".to_owned(), |f| format!("{:.1} {}", f.median, row.unit));
        let met = match (row.met, &row.why_null) {
            (Some(true), _) => "yes".to_owned(),
            (Some(false), _) => "NO".to_owned(),
            (None, why) => format!("null: {}", why.as_deref().unwrap_or("not measured")),
        };
        let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        out += &format!(
            "{:<12} {:<58} {:>14} {:>14} {:>7}  {:<14} {}\n",
            row.id,
            row.what,
            side(row.reference),
            side(row.ours),
            ratio,
            row.goal,
            met
        );
    }
    out
}

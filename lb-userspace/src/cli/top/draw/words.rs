//! Numbers in few characters, and rates as a row of bars.

/// A rate in at most five characters: `0`, `0.4`, `812`, `12.3k`, `1.24M`; `-` if it is not known.
pub(in crate::cli::top) fn rate(value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    if value <= 0.0 {
        return "0".to_owned();
    }
    if value < 9.95 {
        return format!("{value:.1}");
    }
    let (mut value, mut suffix) = (value, "");
    for next in ["k", "M", "G", "T", "P"] {
        // What would be rounded to four digits gets the next suffix.
        if value < 999.5 {
            break;
        }
        (value, suffix) = (value / 1e3, next);
    }
    let digits = match (suffix, value) {
        ("", _) => 0,
        (_, value) if value < 9.995 => 2,
        (_, value) if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{suffix}")
}

/// A number in at most seven characters.
pub(in crate::cli::top) fn count(value: u64) -> String {
    if value < 10_000_000 { value.to_string() } else { rate(Some(value as f64)) }
}

/// A share in percent.
pub(in crate::cli::top) fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.0}%", value * 100.0))
}

/// The last rates as bars, the youngest on the right, the largest as high as a character.
pub(in crate::cli::top) fn bars(rates: &[f64], width: usize, unicode: bool) -> String {
    const UNICODE: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 9] = [' ', '.', '.', ':', ':', '-', '=', '*', '#'];
    let levels = if unicode { UNICODE } else { ASCII };
    let shown = &rates[rates.len().saturating_sub(width)..];
    let most = shown.iter().copied().fold(0.0, f64::max);
    let level = |rate: &f64| {
        // The least rate that is one can be told from none.
        let height = if most > 0.0 { (rate / most * 8.0).ceil() } else { 0.0 };
        levels[(height.clamp(0.0, 8.0)) as usize]
    };
    let bars: String = shown.iter().map(level).collect();
    format!("{bars:>width$}")
}

/// The beginning of a text, as wide as there is room.
pub(in crate::cli::top) fn cut(text: &str, width: usize, unicode: bool) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + if unicode { "…" } else { "~" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_three_digits_and_at_most_five_characters() {
        for (value, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (0.4, "0.4"),
            (9.94, "9.9"),
            (9.96, "10"),
            (812.4, "812"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (12_345.0, "12.3k"),
            (99_960.0, "100k"),
            (999_600.0, "1.00M"),
            (1_240_000.0, "1.24M"),
            (9_999_000_000.0, "10.0G"),
        ] {
            assert_eq!(rate(Some(value)), text);
        }
        assert_eq!(rate(None), "-");
        assert_eq!((count(9_999_999), count(10_000_000)), ("9999999".to_owned(), "10.0M".to_owned()));
        assert_eq!((share(Some(0.333)), share(None)), ("33%".to_owned(), "-".to_owned()));
    }

    #[test]
    fn bars_are_as_high_as_their_share_of_the_largest_and_little_is_not_nothing() {
        assert_eq!(bars(&[0.0, 1.0, 50.0, 100.0], 6, true), "   ▁▄█");
        assert_eq!(bars(&[9.0, 100.0, 50.0], 2, false), "#:");
        assert_eq!(bars(&[0.0, 0.0], 3, true), "   ");
        assert_eq!(bars(&[], 2, true), "  ");
    }

    #[test]
    fn a_text_that_is_cut_shows_it() {
        assert_eq!(cut("backend-1", 9, true), "backend-1");
        assert_eq!(cut("backend-10", 9, true), "backend-…");
        assert_eq!(cut("backend-10", 9, false), "backend-~");
    }
}

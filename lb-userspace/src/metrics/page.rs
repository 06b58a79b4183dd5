//! Prometheus' text format, family by family: a page has 150 000 samples and more, so that the encoder of `prometheus` writes the heads
//! only. It turns each value into a float and each label into two strings.

use lb_common::abi::Histogram;
use prometheus::{
    Result, TextEncoder,
    proto::{Metric, MetricFamily, MetricType},
};

/// A page.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A page with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Describes the family whose samples follow.
    fn describe(&mut self, name: &str, help: &str, kind: MetricType) -> Result<()> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(vec![Metric::from_label(Vec::new())]);
        let start = self.0.len();
        TextEncoder::new().encode_utf8(&[family], &mut self.0)?;
        // Without samples a family is refused: what was written of this one goes again, behind the lines of its help and its type.
        let head: usize = self.0[start..].split_inclusive('\n').take(2).map(str::len).sum();
        self.0.truncate(start + head);
        Ok(())
    }
}

/// Samples with their labels. Several families can be made of them, one after the other.
#[derive(Debug)]
pub(super) struct Samples<T> {
    owners: Vec<T>,
    /// What is between name and value, of all samples.
    labels: String,
    /// Where in `labels` that of each sample ends.
    ends: Vec<usize>,
}

impl<T> Samples<T> {
    /// A sample for each owner. Labels are pairs of name and value, ordered by name.
    #[expect(single_use_lifetimes, reason = "it cannot be left out in an impl Trait")]
    pub(super) fn new<'a, const LABELS: usize>(
        owners: impl IntoIterator<Item = (T, [(&'static str, &'a str); LABELS])>,
    ) -> Self {
        let mut samples = Self { owners: Vec::new(), labels: String::new(), ends: Vec::new() };
        for (owner, labels) in owners {
            for (index, (name, value)) in labels.into_iter().enumerate() {
                samples.labels.push(if index == 0 { '{' } else { ',' });
                samples.labels.push_str(name);
                samples.labels.push_str("=\"");
                push_escaped(&mut samples.labels, value);
                samples.labels.push('"');
            }
            samples.labels.push_str(if LABELS == 0 { " " } else { "} " });
            samples.owners.push(owner);
            samples.ends.push(samples.labels.len());
        }
        samples
    }

    /// Writes a family, of counters if its name ends in `_total`, else of gauges; without samples it leaves no trace.
    ///
    /// # Errors
    /// The encoder refuses the name.
    pub(super) fn write(
        &self,
        page: &mut Page,
        name: &str,
        help: &str,
        value: impl Fn(&T) -> u64,
    ) -> Result<()> {
        let mut digits = itoa::Buffer::new();
        self.write_text(page, name, help, |owner, text| text.push_str(digits.format(value(owner))))
    }

    /// The same with values that are appended as text, such as `-1` or `0.25`.
    ///
    /// # Errors
    /// The encoder refuses the name.
    pub(super) fn write_text(
        &self,
        page: &mut Page,
        name: &str,
        help: &str,
        mut push_value: impl FnMut(&T, &mut String),
    ) -> Result<()> {
        if self.owners.is_empty() {
            return Ok(());
        }
        let is_counter = name.ends_with("_total");
        page.describe(name, help, if is_counter { MetricType::COUNTER } else { MetricType::GAUGE })?;
        let mut start = 0;
        for (owner, end) in self.owners.iter().zip(&self.ends) {
            page.0.push_str(name);
            page.0.push_str(&self.labels[start..*end]);
            push_value(owner, &mut page.0);
            page.0.push('\n');
            start = *end;
        }
        Ok(())
    }
}

impl<T> Samples<T> {
    /// Writes a family of histograms, whose unit is the second. Only for samples with a label; without samples it leaves no trace.
    ///
    /// # Errors
    /// The encoder refuses the name.
    pub(super) fn write_histograms(
        &self,
        page: &mut Page,
        name: &str,
        help: &str,
        histogram: impl Fn(&T) -> &Histogram,
    ) -> Result<()> {
        if self.owners.is_empty() {
            return Ok(());
        }
        page.describe(name, help, MetricType::HISTOGRAM)?;
        let bounds = (0..Histogram::BUCKETS).map(|bucket| match Histogram::bound(bucket) {
            Some(nanos) => format!(",le=\"{}\"}} ", nanos as f64 / NANOS),
            None => ",le=\"+Inf\"} ".to_owned(),
        });
        let (bounds, mut digits, mut start): (Vec<_>, _, _) = (bounds.collect(), itoa::Buffer::new(), 0);
        for (owner, end) in self.owners.iter().zip(&self.ends) {
            let (labels, histogram, mut count) = (&self.labels[start..*end], histogram(owner), 0_u64);
            for (bound, inside) in bounds.iter().zip(&histogram.counts) {
                count += inside;
                let open = labels.strip_suffix("} ").unwrap_or(labels);
                for part in [name, "_bucket", open, bound, digits.format(count), "\n"] {
                    page.0.push_str(part);
                }
            }
            let sum = (histogram.nanos as f64 / NANOS).to_string();
            for part in [name, "_sum", labels, &sum, "\n", name, "_count", labels, digits.format(count), "\n"]
            {
                page.0.push_str(part);
            }
            start = *end;
        }
        Ok(())
    }
}

/// Nanoseconds of a second.
const NANOS: f64 = 1e9;

/// Appends a label's value as the format wants it.
fn push_escaped(text: &mut String, value: &str) {
    if !value.contains(['\\', '"', '\n']) {
        return text.push_str(value);
    }
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            _ => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::proto::{Gauge, LabelPair};

    use super::*;

    #[test]
    fn a_family_is_described_once_and_values_are_escaped() {
        let mut page = Page::default();
        let samples = Samples::new([(1, [("a", "x\"\\\n"), ("b", "y")]), (2, [("a", ""), ("b", "z")])]);
        samples.write(&mut page, "lb_up", "Whether.", |owner| *owner).unwrap();
        samples.write(&mut page, "lb_all_total", "All.", |owner| 10 * *owner).unwrap();
        Samples::new([(9, [])]).write(&mut page, "lb_plain", "One.", |owner| *owner).unwrap();
        let none: [((), [(&str, &str); 0]); 0] = [];
        Samples::new(none).write(&mut page, "lb_nothing_total", "Nothing.", |()| 1).unwrap();
        let wanted = r##"# HELP lb_up Whether.
# TYPE lb_up gauge
lb_up{a="x\"\\\n",b="y"} 1
lb_up{a="",b="z"} 2
# HELP lb_all_total All.
# TYPE lb_all_total counter
lb_all_total{a="x\"\\\n",b="y"} 10
lb_all_total{a="",b="z"} 20
# HELP lb_plain One.
# TYPE lb_plain gauge
lb_plain 9
"##;
        assert_eq!(page.into_text(), wanted);
    }

    #[test]
    fn histograms_are_cumulative_in_seconds() {
        let mut one = Histogram::default();
        // 20.5 and 102 microseconds, and an hour.
        [20, 100, 3_600_000_000].into_iter().for_each(|units| one.add(units));
        let mut page = Page::default();
        let samples = Samples::new([(one, [("service", "w}")])]);
        samples.write_histograms(&mut page, "lb_x_seconds", "Time.", |histogram| histogram).unwrap();
        let text = page.into_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["# HELP lb_x_seconds Time.", "# TYPE lb_x_seconds histogram"]);
        for line in [
            r#"lb_x_seconds_bucket{service="w}",le="0.000016384"} 0"#,
            r#"lb_x_seconds_bucket{service="w}",le="0.000032768"} 1"#,
            r#"lb_x_seconds_bucket{service="w}",le="0.000131072"} 2"#,
            r#"lb_x_seconds_bucket{service="w}",le="8.589934592"} 2"#,
            r#"lb_x_seconds_bucket{service="w}",le="+Inf"} 3"#,
            r#"lb_x_seconds_sum{service="w}"} 3686.40012288"#,
            r#"lb_x_seconds_count{service="w}"} 3"#,
        ] {
            assert!(lines.contains(&line), "{line} is missing in\n{text}");
        }
        assert_eq!(lines.len(), 2 + Histogram::BUCKETS + 2);
    }

    /// What `prometheus` itself writes for one sample.
    fn encoded(name: &str, labels: &[(&str, &str)], value: f64) -> String {
        let labels = labels.iter().map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        });
        let mut metric = Metric::from_label(labels.collect());
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help("With \\ and\nmore.".to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(vec![metric]);
        TextEncoder::new().encode_to_string(&[family]).unwrap()
    }

    #[test]
    fn the_text_is_what_the_encoder_of_prometheus_writes() {
        for value in ["", "web", "a\"b", "\\", "\n", "\"\\\n\"", "\u{e4}\u{1f980}", "a b", "{}", "\t"] {
            let labels = [("a", value), ("b", "x")];
            let mut page = Page::default();
            Samples::new([(7, labels)]).write(&mut page, "lb_x", "With \\ and\nmore.", |n| *n).unwrap();
            assert_eq!(page.into_text(), encoded("lb_x", &labels, 7.0));
        }
        let mut page = Page::default();
        Samples::new([(0, [])]).write(&mut page, "lb_x", "With \\ and\nmore.", |n| *n).unwrap();
        assert_eq!(page.into_text(), encoded("lb_x", &[], 0.0));
    }

    #[test]
    fn large_values_have_all_their_digits() {
        let mut page = Page::default();
        let values = [(1 << 53) - 1, 10_u64.pow(19)].map(|value| (value, []));
        Samples::new(values).write(&mut page, "lb_total", "All.", |value| *value).unwrap();
        assert!(page.into_text().ends_with("lb_total 9007199254740991\nlb_total 10000000000000000000\n"));
    }
}

//! Prometheus' text format, family by family: a page has 100 000 samples and more.

use prometheus::{
    Result, TextEncoder,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
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
}

/// Samples with their labels. Several families can be made of them, one after the other: the labels are what takes time.
#[derive(Debug)]
pub(super) struct Samples<T> {
    owners: Vec<T>,
    family: MetricFamily,
}

impl<T> Samples<T> {
    /// A sample for each owner. Labels are pairs of name and value, ordered by name.
    #[expect(single_use_lifetimes, reason = "it cannot be left out in an impl Trait")]
    pub(super) fn new<'a, const LABELS: usize>(
        owners: impl IntoIterator<Item = (T, [(&'static str, &'a str); LABELS])>,
    ) -> Self {
        let labelled = owners.into_iter().map(|(owner, labels)| {
            (owner, Metric::from_label(labels.into_iter().map(|(name, value)| label(name, value)).collect()))
        });
        let (owners, metrics) = labelled.unzip();
        let mut family = MetricFamily::default();
        family.set_metric(metrics);
        Self { owners, family }
    }

    /// Writes a family of counters; without samples it leaves no trace.
    pub(super) fn counter(
        &mut self,
        page: &mut Page,
        name: &str,
        help: &str,
        value: impl Fn(&T) -> u64,
    ) -> Result<()> {
        for (owner, metric) in self.owners.iter().zip(self.family.mut_metric()) {
            let mut counter = Counter::default();
            counter.set_value(value(owner) as f64);
            metric.set_counter(counter);
        }
        self.write(page, MetricType::COUNTER, name, help)
    }

    /// Writes a family of gauges; without samples it leaves no trace.
    pub(super) fn gauge(
        &mut self,
        page: &mut Page,
        name: &str,
        help: &str,
        value: impl Fn(&T) -> u64,
    ) -> Result<()> {
        for (owner, metric) in self.owners.iter().zip(self.family.mut_metric()) {
            let mut gauge = Gauge::default();
            gauge.set_value(value(owner) as f64);
            metric.set_gauge(gauge);
        }
        self.write(page, MetricType::GAUGE, name, help)
    }

    fn write(&mut self, page: &mut Page, kind: MetricType, name: &str, help: &str) -> Result<()> {
        if self.owners.is_empty() {
            return Ok(());
        }
        self.family.set_name(name.to_owned());
        self.family.set_help(help.to_owned());
        self.family.set_field_type(kind);
        TextEncoder::new().encode_utf8(std::slice::from_ref(&self.family), &mut page.0)
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_described_once_and_values_are_escaped() {
        let mut page = Page::default();
        let mut samples = Samples::new([(1, [("a", "x\"\\\n"), ("b", "y")]), (2, [("a", ""), ("b", "z")])]);
        samples.gauge(&mut page, "lb_up", "Whether.", |owner| *owner).unwrap();
        samples.counter(&mut page, "lb_all_total", "All.", |owner| 10 * *owner).unwrap();
        Samples::new([(9, [])]).gauge(&mut page, "lb_plain", "One.", |owner| *owner).unwrap();
        let none: [((), [(&str, &str); 0]); 0] = [];
        Samples::new(none).counter(&mut page, "lb_nothing_total", "Nothing.", |()| 1).unwrap();
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
    fn large_values_have_all_their_digits() {
        let mut page = Page::default();
        let values = [(1 << 53) - 1, 10_u64.pow(19)].map(|value| (value, []));
        Samples::new(values).counter(&mut page, "lb_total", "All.", |value| *value).unwrap();
        assert!(page.into_text().ends_with("lb_total 9007199254740991\nlb_total 10000000000000000000\n"));
    }
}

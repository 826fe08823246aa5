//! The page, read strictly by Prometheus' text format.

use std::collections::{BTreeMap, BTreeSet};

/// What a page says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(super) metrics: BTreeMap<String, Metric>,
}

/// What it says of one metric.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) kind: String,
    pub(super) meaning: String,
    samples: BTreeMap<Series, f64>,
}

/// The name of a sample and its labels.
type Series = (String, BTreeMap<String, String>);

impl Page {
    /// Reads a page; fails wherever it departs from the format.
    pub(super) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut page = Self::default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, meaning) = described(line, "HELP");
            let (typed, kind) = described(lines.next().unwrap_or_default(), "TYPE");
            assert_eq!(typed, name, "HELP and TYPE belong together");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            let mut metric = Metric {
                kind: kind.to_owned(),
                meaning: meaning.to_owned(),
                samples: BTreeMap::new(),
            };
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (series, value) = sample(line);
                assert!(metric.has(name, &series.0), "{line} among those of {name}");
                let twice = metric.samples.insert(series, value);
                assert!(twice.is_none(), "{line} stands there twice");
            }
            metric.check(name);
            let twice = page.metrics.insert(name.to_owned(), metric);
            assert!(twice.is_none(), "{name} stands there twice");
        }
        page
    }

    /// The value of a sample; 0 where there is none.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let of = name
            .strip_suffix("_count")
            .or_else(|| name.strip_suffix("_sum"))
            .unwrap_or(name);
        let metric = self.metrics.get(of);
        let metric = metric.unwrap_or_else(|| panic!("there is no metric {of}"));
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let series = (name.to_owned(), labels.collect());
        metric.samples.get(&series).copied().unwrap_or(0.0)
    }

    /// The same, of what is counted.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let value = self.value(name, labels).to_string();
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    /// All values that a label of a metric has.
    pub(super) fn labelled(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.metrics[name].samples.keys();
        samples
            .filter_map(|(_, labels)| labels.get(label).map(String::as_str))
            .collect()
    }
}

impl Metric {
    /// The names of its labels, in the order in which they are written down.
    pub(super) fn labels(&self) -> BTreeSet<&str> {
        let labels = self.samples.keys().flat_map(|(_, labels)| labels.keys());
        // That of the buckets is the format's own.
        labels
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect()
    }

    /// Whether a sample can be one of its.
    fn has(&self, name: &str, sample: &str) -> bool {
        match sample.strip_prefix(name) {
            Some("") => self.kind != "histogram",
            Some("_bucket" | "_sum" | "_count") => self.kind == "histogram",
            _ => false,
        }
    }

    fn check(&self, name: &str) {
        assert!(is_name(name) && name.starts_with("callboard_"), "{name}");
        assert!(self.meaning.ends_with('.'), "{name}: {}", self.meaning);
        assert_eq!(self.kind == "counter", name.ends_with("_total"), "{name}");
        if self.kind == "histogram" {
            self.check_buckets(name);
        }
    }

    /// Each bucket contains those before it, and the last one all that there is.
    fn check_buckets(&self, name: &str) {
        let mut buckets: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        for ((sample, labels), value) in &self.samples {
            let mut labels = labels.clone();
            if let Some(bound) = labels.remove("le") {
                assert_eq!(*sample, format!("{name}_bucket"));
                let of = buckets.entry(labels).or_default();
                of.push((number(&bound), *value));
            }
        }
        for (labels, mut of) in buckets {
            of.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(of.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1));
            let (bound, all) = *of.last().unwrap();
            assert!(bound.is_infinite(), "{name} {labels:?}");
            assert!(self.samples[&(format!("{name}_sum"), labels.clone())] >= 0.0);
            let count = self.samples[&(format!("{name}_count"), labels)];
            assert!(count.total_cmp(&all).is_eq(), "{count} {all}");
        }
    }
}

/// The name and the rest of `# HELP` or `# TYPE`.
fn described<'a>(line: &'a str, word: &str) -> (&'a str, &'a str) {
    line.strip_prefix("# ")
        .and_then(|line| line.strip_prefix(word))
        .and_then(|line| line.strip_prefix(' '))
        .and_then(|line| line.split_once(' '))
        .unwrap_or_else(|| panic!("no {word} in {line:?}"))
}

/// A line `name{label="value"} number`.
fn sample(line: &str) -> (Series, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("a closing brace")),
        None => (series, ""),
    };
    assert!(is_name(name), "{line}");
    let mut read = BTreeMap::new();
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (label, value) = label.split_once("=\"").expect("a label");
        let value = value.strip_suffix('"').expect("a closing quote");
        assert!(is_name(label), "{line}");
        // Nothing here has to be escaped, since all of it is ours.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
        assert!(!value.is_empty() && value.chars().all(is_plain), "{line}");
        let twice = read.insert(label.to_owned(), value.to_owned());
        assert!(twice.is_none(), "{line}");
    }
    ((name.to_owned(), read), number(value))
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        _ => text
            .parse()
            .unwrap_or_else(|_| panic!("{text:?} is no number")),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

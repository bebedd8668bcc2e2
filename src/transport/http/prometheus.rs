//! A server's numbers in the text format of Prometheus, version 0.0.4.

use crate::session::metrics::{Counter, Family, Histogram, Metrics};
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The most combinations of label values that are kept of one family: more there never are, unless something is wrong.
const MAX_SERIES: usize = 1_000;

/// Keeps the numbers of a server; `Display` writes them as Prometheus reads them.
#[derive(Debug)]
pub struct Prometheus {
    began: Instant,
    numbers: Mutex<Numbers>,
}

#[derive(Debug)]
struct Numbers {
    counters: Vec<Series<u64>>,
    histograms: Vec<Series<Distribution>>,
}

/// The numbers of one family, by their label values. There are few of them.
#[derive(Debug)]
struct Series<T>(Vec<(Box<[Box<str>]>, T)>);

#[derive(Clone, Debug)]
struct Distribution {
    /// Observations in each bucket, and above all.
    buckets: Vec<u64>,
    sum: f64,
}

impl Distribution {
    fn new(histogram: Histogram) -> Self {
        Self { buckets: vec![0; histogram.buckets().len() + 1], sum: 0.0 }
    }
}

impl<T> Series<T> {
    /// The entry of these values; `None` when there are too many.
    fn entry(&mut self, labels: &[&str], new: impl FnOnce() -> T) -> Option<&mut T> {
        let is = |known: &[Box<str>]| known.iter().map(|known| &**known).eq(labels.iter().copied());
        let at = match self.0.iter().position(|(known, _)| is(known)) {
            Some(at) => at,
            None if self.0.len() >= MAX_SERIES => return None,
            None => {
                let key: Box<[Box<str>]> = labels.iter().map(|&label| label.into()).collect();
                let at = self.0.partition_point(|(known, _)| *known < key);
                self.0.insert(at, (key, new()));
                at
            }
        };
        self.0.get_mut(at).map(|(_, value)| value)
    }
}

impl Prometheus {
    /// All numbers are 0. Those without labels are shown from the start.
    #[must_use]
    pub fn new() -> Self {
        let mut counters: Vec<_> = Counter::ALL.iter().map(|_| Series(Vec::new())).collect();
        for (series, counter) in counters.iter_mut().zip(Counter::ALL) {
            if counter.family().labels.is_empty() {
                series.entry(&[], || 0);
            }
        }
        let mut histograms: Vec<_> = Histogram::ALL.iter().map(|_| Series(Vec::new())).collect();
        for (series, histogram) in histograms.iter_mut().zip(Histogram::ALL) {
            if histogram.family().labels.is_empty() {
                series.entry(&[], || Distribution::new(*histogram));
            }
        }
        Self { began: Instant::now(), numbers: Mutex::new(Numbers { counters, histograms }) }
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics for Prometheus {
    fn count(&self, counter: Counter, labels: &[&str], by: u64) {
        let mut numbers = self.numbers();
        if let Some(value) = numbers.counters.get_mut(counter as usize).and_then(|series| series.entry(labels, || 0)) {
            *value = value.saturating_add(by);
        }
    }

    fn observe(&self, histogram: Histogram, labels: &[&str], value: f64) {
        let bucket = histogram.buckets().partition_point(|bound| *bound < value);
        let mut numbers = self.numbers();
        let series = numbers.histograms.get_mut(histogram as usize);
        if let Some(known) = series.and_then(|series| series.entry(labels, || Distribution::new(histogram))) {
            known.buckets[bucket] += 1;
            known.sum += value;
        }
    }

    fn clock(&self) -> Option<Duration> {
        Some(self.began.elapsed())
    }
}

impl fmt::Display for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.numbers();
        for (counter, series) in Counter::ALL.iter().zip(&numbers.counters) {
            let family = counter.family();
            head(f, family, "counter")?;
            for (labels, value) in &series.0 {
                sample(f, family, "", labels, None, value)?;
            }
        }
        for (histogram, series) in Histogram::ALL.iter().zip(&numbers.histograms) {
            let family = histogram.family();
            head(f, family, "histogram")?;
            for (labels, known) in &series.0 {
                let mut count = 0;
                let bounds = histogram.buckets().iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                for (bound, observed) in bounds.zip(&known.buckets) {
                    count += observed;
                    sample(f, family, "_bucket", labels, Some(&bound), count)?;
                }
                sample(f, family, "_sum", labels, None, known.sum)?;
                sample(f, family, "_count", labels, None, count)?;
            }
        }
        Ok(())
    }
}

fn head(f: &mut fmt::Formatter<'_>, family: Family, kind: &str) -> fmt::Result {
    let Family { name, help, .. } = family;
    write!(f, "# HELP {name} ")?;
    escaped(f, help, false)?;
    writeln!(f, "\n# TYPE {name} {kind}")
}

fn sample(
    f: &mut fmt::Formatter<'_>,
    family: Family,
    ending: &str,
    labels: &[Box<str>],
    bound: Option<&str>,
    value: impl fmt::Display,
) -> fmt::Result {
    write!(f, "{}{ending}", family.name)?;
    let named = family.labels.iter().copied().zip(labels.iter().map(|label| &**label));
    let mut separator = '{';
    for (name, value) in named.chain(bound.map(|bound| ("le", bound))) {
        write!(f, "{separator}{name}=\"")?;
        escaped(f, value, true)?;
        f.write_char('"')?;
        separator = ',';
    }
    if separator == ',' {
        f.write_char('}')?;
    }
    writeln!(f, " {value}")
}

/// Backslashes and line ends are escaped everywhere, quotes in label values.
fn escaped(f: &mut fmt::Formatter<'_>, text: &str, quotes: bool) -> fmt::Result {
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '"' if quotes => f.write_str("\\\"")?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MAX_SERIES, Prometheus};
    use crate::session::metrics::{Counter, Histogram, Metrics};

    #[test]
    fn writes_what_prometheus_reads() {
        let numbers = Prometheus::new();
        numbers.count(Counter::Commands, &["Replace", "200"], 2);
        numbers.count(Counter::Commands, &["Add", "201"], 1);
        numbers.count(Counter::Commands, &["Replace", "200"], 3);
        numbers.count(Counter::Messages, &["a\\b\"c\nd"], 1);
        for size in [499.0, 500.0, 501.0, 2e6] {
            numbers.observe(Histogram::MessageBytes, &["in"], size);
        }
        let text = numbers.to_string();
        for lines in [
            "# TYPE syncml_commands_total counter\n\
             syncml_commands_total{op=\"Add\",status=\"201\"} 1\nsyncml_commands_total{op=\"Replace\",status=\"200\"} 5\n",
            "syncml_messages_total{outcome=\"a\\\\b\\\"c\\nd\"} 1\n",
            "# TYPE syncml_busy_total counter\nsyncml_busy_total 0\n",
            "# TYPE syncml_message_bytes histogram\nsyncml_message_bytes_bucket{direction=\"in\",le=\"500\"} 2\n\
             syncml_message_bytes_bucket{direction=\"in\",le=\"1000\"} 3\n",
            "syncml_message_bytes_bucket{direction=\"in\",le=\"1000000\"} 3\n\
             syncml_message_bytes_bucket{direction=\"in\",le=\"+Inf\"} 4\n\
             syncml_message_bytes_sum{direction=\"in\"} 2001500\nsyncml_message_bytes_count{direction=\"in\"} 4\n",
            "syncml_step_seconds_bucket{le=\"0.001\"} 0\n",
            "syncml_step_seconds_sum 0\nsyncml_step_seconds_count 0\n",
        ] {
            assert!(text.contains(lines), "{lines}\nis not in\n{text}");
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let numbers = Prometheus::new();
        for status in 0..2 * MAX_SERIES {
            numbers.count(Counter::Requests, &[&status.to_string()], 1);
        }
        let kept = numbers.to_string().lines().filter(|line| line.starts_with("syncml_http_requests_total{")).count();
        assert_eq!(kept, MAX_SERIES);
    }
}

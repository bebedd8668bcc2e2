//! Server CPU per contact against the size of the book, both logarithmic, as an SVG: a colour for each scenario of each
//! store, dashed where messages are XML.

use super::{Case, Line};
use std::fmt::Write as _;
use syncml::codec::Encoding;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 250.0;
const COLOURS: [&str; 8] = ["#1f77b4", "#7f7f7f", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#ff7f0e"];

/// Parts of the limit, which is drawn as a whole.
const LEFT_OUT: [&str; 3] = ["limit: memcpy", "limit: XML events", "limit: inserts"];

/// One curve: a scenario of a store, in one encoding.
struct Curve {
    name: String,
    encoding: Encoding,
    points: Vec<(f64, f64)>,
}

pub(crate) fn svg(lines: &[Line]) -> String {
    let curves = curves(lines);
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let bound = |of: fn(&(f64, f64)) -> f64, better: fn(f64, f64) -> f64, from| points().map(of).fold(from, better);
    let (left, right) = (bound(|it| it.0, f64::min, f64::MAX).log10(), bound(|it| it.0, f64::max, 1.0).log10());
    let (low, high) =
        (bound(|it| it.1, f64::min, f64::MAX).log10().floor(), bound(|it| it.1, f64::max, 1e-3).log10().ceil());
    let x = |size: f64| LEFT + (size.log10() - left) / (right - left).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y = |cost: f64| HEIGHT - BOTTOM - (cost.log10() - low) / (high - low).max(1e-9) * (HEIGHT - BOTTOM - 20.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for exponent in low as i32..=high as i32 {
        let (cost, at) = (10f64.powi(exponent), y(10f64.powi(exponent)));
        line(&mut out, (LEFT, at), (WIDTH - RIGHT, at));
        text(&mut out, (8.0, at + 4.0), "black", &format!("{cost} µs"));
    }
    for exponent in left.floor() as i32..=right.ceil() as i32 {
        let size = 10f64.powi(exponent);
        if (left..=right).contains(&size.log10()) {
            line(&mut out, (x(size), 20.0), (x(size), HEIGHT - BOTTOM));
            text(&mut out, (x(size) - 12.0, HEIGHT - BOTTOM + 16.0), "black", &size.to_string());
        }
    }
    let mut names: Vec<&str> = Vec::new();
    for curve in &curves {
        let number = names.iter().position(|name| *name == curve.name).unwrap_or(names.len());
        let colour = COLOURS[number % COLOURS.len()];
        if number == names.len() {
            names.push(&curve.name);
            text(&mut out, (WIDTH - RIGHT + 10.0, 24.0 + 15.0 * number as f64), colour, &curve.name);
        }
        let points: Vec<String> =
            curve.points.iter().map(|(size, cost)| format!("{:.1},{:.1}", x(*size), y(*cost))).collect();
        let dash = if curve.encoding == Encoding::Xml { " stroke-dasharray=\"4 3\"" } else { "" };
        writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash} points=\"{}\"/>",
            points.join(" ")
        )
        .unwrap_or_default();
    }
    if curves.iter().any(|curve| curve.encoding == Encoding::Xml) {
        text(&mut out, (WIDTH - RIGHT + 10.0, 34.0 + 15.0 * names.len() as f64), "black", "dashed: XML, else WBXML");
    }
    text(&mut out, (LEFT, HEIGHT - 6.0), "black", "contacts in the book; CPU of the server per contact");
    out.push_str("</svg>\n");
    out
}

fn curves(lines: &[Line]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for Line { case: Case { store, encoding, size, .. }, scenario, cost } in lines {
        if LEFT_OUT.contains(scenario) {
            continue;
        }
        let name = format!("{scenario}, {}", store.name());
        let point = (*size as f64, (cost.server * 1e6 / *size as f64).max(1e-3));
        match curves.iter_mut().find(|curve| curve.name == name && curve.encoding == *encoding) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, encoding: *encoding, points: vec![point] }),
        }
    }
    curves
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    )
    .unwrap_or_default();
}

fn text(out: &mut String, at: (f64, f64), colour: &str, text: &str) {
    writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{text}</text>", at.0, at.1).unwrap_or_default();
}

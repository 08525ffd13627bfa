//! What a dashboard is made of, and its JSON as Grafana reads it (schema version 39, Grafana 10.4 and later).

use serde_json::{Value, json};

/// Where the runbook pages are served; the same place as in `deploy/prometheus/alerts.yml`.
const RUNBOOKS: &str = "https://docs.bank.example/octroi/runbooks";

const SCHEMA_VERSION: u32 = 39;
const COLUMNS: u32 = 24;

pub struct Dashboard {
    /// Stable: links and alerts name it.
    pub uid: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub variables: Vec<Variable>,
    pub rows: Vec<Row>,
}

/// A choice at the head of a dashboard, filled by a query.
pub struct Variable {
    pub name: &'static str,
    pub label: &'static str,
    pub query: &'static str,
    pub multiple: bool,
}

pub struct Row {
    pub title: &'static str,
    pub panels: Vec<Panel>,
}

pub enum Kind {
    Series,
    /// Series on top of each other.
    Stacked,
    Stat,
    Table,
    Heatmap,
    /// Words; the description is shown.
    Text,
}

pub struct Panel {
    pub title: &'static str,
    pub description: &'static str,
    pub kind: Kind,
    /// One of Grafana's unit ids.
    pub unit: &'static str,
    /// Of 24 columns.
    pub width: u32,
    pub queries: Vec<Query>,
    /// The alerts whose runbooks are linked.
    pub alerts: &'static [&'static str],
    /// From here on it is yellow, and red.
    pub thresholds: Option<(f64, f64)>,
}

pub struct Query {
    pub expr: String,
    pub legend: &'static str,
}

impl Panel {
    pub fn new(kind: Kind, title: &'static str, description: &'static str) -> Self {
        let (unit, width) = match kind {
            Kind::Stat => ("short", 4),
            Kind::Text => ("", 24),
            _ => ("short", 8),
        };
        let (queries, alerts) = (Vec::new(), [].as_slice());
        Self { title, description, kind, unit, width, queries, alerts, thresholds: None }
    }

    pub fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub fn width(self, width: u32) -> Self {
        Self { width, ..self }
    }

    pub fn query(mut self, expr: impl Into<String>, legend: &'static str) -> Self {
        self.queries.push(Query { expr: expr.into(), legend });
        self
    }

    pub fn alerts(self, alerts: &'static [&'static str]) -> Self {
        Self { alerts, ..self }
    }

    pub fn thresholds(self, yellow: f64, red: f64) -> Self {
        Self { thresholds: Some((yellow, red)), ..self }
    }

    fn height(&self) -> u32 {
        match self.kind {
            Kind::Stat => 4,
            Kind::Text => 6,
            _ => 8,
        }
    }

    fn json(&self, id: u32, (x, y): (u32, u32)) -> Value {
        let links: Vec<Value> = self
            .alerts
            .iter()
            .map(|alert| {
                let url = format!("{RUNBOOKS}/{alert}.html");
                json!({ "title": format!("Runbook: {alert}"), "url": url, "targetBlank": true })
            })
            .collect();
        let mut panel = json!({
            "id": id,
            "type": self.kind.plugin(),
            "title": self.title,
            "description": self.description,
            "gridPos": { "h": self.height(), "w": self.width, "x": x, "y": y },
            "links": links,
        });
        if let Kind::Text = self.kind {
            panel["options"] = json!({ "mode": "markdown", "content": self.description });
            return panel;
        }
        panel["datasource"] = datasource();
        panel["targets"] = self
            .queries
            .iter()
            .zip('A'..='Z')
            .map(|(query, letter)| self.target(query, letter))
            .collect();
        panel["fieldConfig"] = json!({ "defaults": self.defaults(), "overrides": [] });
        panel["options"] = self.options();
        if let Kind::Table = self.kind {
            let hidden = json!({ "Time": true, "__name__": true, "job": true });
            panel["transformations"] =
                json!([{ "id": "organize", "options": { "excludeByName": hidden } }]);
        }
        panel
    }

    fn target(&self, query: &Query, letter: char) -> Value {
        let instant = matches!(self.kind, Kind::Table | Kind::Stat);
        let form = match self.kind {
            Kind::Table => "table",
            Kind::Heatmap => "heatmap",
            _ => "time_series",
        };
        json!({
            "refId": letter.to_string(),
            "datasource": datasource(),
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend,
            "format": form,
            "instant": instant,
            "range": !instant,
            "exemplar": query.expr.contains("_duration_seconds_bucket"),
        })
    }

    fn defaults(&self) -> Value {
        let mut steps = vec![json!({ "color": "green", "value": null })];
        if let Some((yellow, red)) = self.thresholds {
            steps.push(json!({ "color": "yellow", "value": yellow }));
            steps.push(json!({ "color": "red", "value": red }));
        }
        let mut custom = json!({ "fillOpacity": 10, "lineWidth": 1, "showPoints": "never" });
        if let Kind::Stacked = self.kind {
            custom["fillOpacity"] = 40.into();
            custom["stacking"] = json!({ "mode": "normal", "group": "A" });
        }
        let mut defaults = json!({
            "unit": self.unit,
            "thresholds": { "mode": "absolute", "steps": steps },
        });
        if let Kind::Series | Kind::Stacked = self.kind {
            defaults["custom"] = custom;
            defaults["min"] = 0.into();
        }
        defaults
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Stat => json!({
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                "colorMode": "value",
                "graphMode": "none",
            }),
            Kind::Heatmap => json!({
                "calculate": false,
                "yAxis": { "unit": self.unit },
                "color": { "mode": "scheme", "scheme": "Oranges", "steps": 64 },
                "exemplars": { "color": "rgba(255,0,255,0.7)" },
            }),
            Kind::Table => json!({ "showHeader": true }),
            _ => json!({
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
        }
    }
}

impl Kind {
    const fn plugin(&self) -> &'static str {
        match self {
            Self::Series | Self::Stacked => "timeseries",
            Self::Stat => "stat",
            Self::Table => "table",
            Self::Heatmap => "heatmap",
            Self::Text => "text",
        }
    }
}

impl Variable {
    fn json(&self) -> Value {
        let mut variable = json!({
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": datasource(),
            "definition": self.query,
            "query": { "query": self.query, "refId": self.name },
            "refresh": 2,
            "sort": 1,
            "multi": self.multiple,
            "includeAll": self.multiple,
            "hide": 0,
        });
        if self.multiple {
            variable["allValue"] = ".*".into();
            variable["current"] = json!({ "selected": true, "text": ["All"], "value": ["$__all"] });
        }
        variable
    }
}

impl Dashboard {
    /// As Grafana imports it.
    pub fn json(&self) -> Value {
        let (mut panels, mut id, mut y) = (Vec::new(), 0, 0);
        let mut next = || {
            id += 1;
            id
        };
        for row in &self.rows {
            panels.push(json!({
                "id": next(), "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
            }));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > COLUMNS {
                    (x, y, height) = (0, y + height, 0);
                }
                panels.push(panel.json(next(), (x, y)));
                x += panel.width;
                height = height.max(panel.height());
            }
            y += height;
        }
        let source = json!({
            "name": "datasource", "label": "Prometheus", "type": "datasource",
            "query": "prometheus", "refresh": 1, "hide": 0, "multi": false, "includeAll": false,
        });
        let variables: Vec<Value> =
            [source].into_iter().chain(self.variables.iter().map(Variable::json)).collect();
        let others = json!([{
            "title": "Octroi", "type": "dashboards", "tags": ["octroi"], "asDropdown": true,
            "includeVars": true, "keepTime": true, "icon": "external link",
        }]);
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["octroi"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "",
            "refresh": "30s",
            "time": { "from": "now-6h", "to": "now" },
            "annotations": { "list": [] },
            "links": others,
            "templating": { "list": variables },
            "panels": panels,
        })
    }
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// The codetabs that were asked for.
pub(super) const CODETAB: &str = "label_values(octroi_upstream_healthy_addresses, codetab)";
/// The APIs.
pub(super) const API: &str = "label_values(octroi_requests_total, api)";

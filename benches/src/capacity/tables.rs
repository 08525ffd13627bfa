//! The answers as tables for people.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::Plan;
use super::costs::Costs;
use super::gateways::Fleet;
use super::question::{Question, Switch};
use super::redis::Masters;

/// The cases of the book: requests per second, and codetabs.
pub const STANDARD: [(f64, u32); 9] = [
    (10_000.0, 18),
    (10_000.0, 300),
    (10_000.0, 6_000),
    (100_000.0, 18),
    (100_000.0, 300),
    (100_000.0, 6_000),
    (1_000_000.0, 18),
    (1_000_000.0, 300),
    (1_000_000.0, 6_000),
];

/// The standard cases in one table; all but the peak and the codetabs as the question has it.
#[must_use]
pub fn standard(question: &Question, costs: &Costs) -> String {
    let mut table = empty(&[
        "requests/s",
        "codetabs",
        "gateways",
        "without spare",
        "CPU, peak",
        "CPU, loss",
        "worst wait",
        "Redis masters",
        "busiest",
        "records",
        "503",
    ]);
    for (requests, banks) in STANDARD {
        let plan = Plan::of(&Question { requests, banks, ..question.clone() }, costs);
        let mut row = vec![count(requests), count(f64::from(banks))];
        row.extend(fleet_cells(plan.fleet.as_ref()));
        row.extend(redis_cells(plan.redis.as_ref()));
        row.push(plan.outage.map_or("-".to_owned(), |outage| percent(1.0 - outage.served)));
        table.add_row(row);
    }
    text(&table)
}

fn fleet_cells(fleet: Option<&Fleet>) -> Vec<String> {
    let Some(fleet) = fleet else { return vec!["none is enough".to_owned(); 5] };
    let after = fleet.after_loss.as_ref();
    vec![
        count(f64::from(fleet.machines)),
        count(f64::from(fleet.machines_without_loss)),
        percent(fleet.utilisation),
        after.map_or("-".to_owned(), |after| percent(after.utilisation)),
        after.map_or("-".to_owned(), |after| seconds(after.storm.worst_wait)),
    ]
}

fn redis_cells(redis: Option<&Masters>) -> Vec<String> {
    let Some(redis) = redis else { return vec!["not measured".to_owned(); 3] };
    vec![
        masters(redis),
        percent(redis.busiest),
        format!("{:.0} GB", redis.records_gb * f64::from(redis.parts)),
    ]
}

fn masters(redis: &Masters) -> String {
    match (redis.parts, redis.masters) {
        (1, Some(1)) => "1 (Sentinel)".to_owned(),
        (1, Some(masters)) => format!("{masters} (Cluster)"),
        (parts, Some(masters)) => format!("{parts} × {masters}"),
        (_, None) => format!("no TPP over {}", percent(redis.largest_tpp_max)),
    }
}

/// One case in full.
#[must_use]
pub fn detailed(question: &Question, costs: &Costs, plan: &Plan) -> String {
    let mut page = String::new();
    let (requests, banks) = (count(question.requests), question.banks);
    let _ = writeln!(page, "{requests} requests/s, {banks} codetabs\n");
    match &plan.fleet {
        Some(fleet) => page.push_str(&gateways(question, costs, fleet)),
        None => page.push_str(
            "No number of gateways is enough: what each is told of changed records and asks of Redis \
             takes more CPU than it has.\n",
        ),
    }
    match (&plan.redis, &costs.redis) {
        (Some(redis), _) => page.push_str(&redis_table(question, redis)),
        (None, None) => page.push_str("\nRedis was not measured.\n"),
        (None, Some(_)) => (),
    }
    if let Some(outage) = plan.outage {
        let mut table = empty(&["while Redis fails over", ""]);
        table.add_row(["takes".to_owned(), seconds(outage.lasts)]);
        table.add_row(["served as always".to_owned(), percent(outage.served)]);
        table.add_row(["503, nobody vouches for the token".into(), percent(outage.token_refused)]);
        table.add_row(["503, no limit can be counted yet".into(), percent(outage.limit_refused)]);
        let _ = writeln!(page, "\n{}", text(&table));
    }
    page
}

fn gateways(question: &Question, costs: &Costs, fleet: &Fleet) -> String {
    let mut table = empty(&["gateways", ""]);
    let cores = question.cores;
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row(&format!("machines of {cores} cores"), count(f64::from(fleet.machines)));
    row("without any spare", count(f64::from(fleet.machines_without_loss)));
    row("CPU at the peak", percent(fleet.utilisation));
    row("of it in handshakes", percent(fleet.handshake_share));
    row("tokens found in memory", percent(fleet.warm_tokens));
    row("99 of 100 wait less for a core than", micros(fleet.waits.p99_us));
    row("memory of each", gigabytes(fleet.memory_gb));
    row("open connections of each", count(fleet.connections.ceil()));
    row("access log of each", format!("{:.1} MB/s", fleet.audit_mb_per_second));
    let day = question.requests * costs.gateway.audit_bytes * 86_400.0 / 1e12;
    row("access log of all, were it always the peak", format!("{day:.1} TB a day"));
    if let Some(after) = &fleet.after_loss {
        row("lost at the peak", format!("{} ({})", after.lost, question.survive));
        row("requests cut", count(after.requests_cut.ceil()));
        row("handshakes of those who come back", count(after.storm.handshakes.ceil()));
        row("in the busiest second", count(after.storm.busiest_second.ceil()));
        row("worst wait for a core meanwhile", seconds(after.storm.worst_wait));
        row("over after", seconds(after.storm.over_after));
        row("CPU after that", percent(after.utilisation));
        row("99 of 100 wait less for a core than", micros(after.waits.p99_us));
    }
    text(&table) + "\n"
}

fn redis_table(question: &Question, redis: &Masters) -> String {
    let (traffic, cpu) = (&redis.traffic, &redis.cpu);
    let head = match redis.parts {
        1 => "Redis, by path".to_owned(),
        parts => format!("each of {parts} Redis, by path"),
    };
    let mut table = empty(&[&head, "in a second", "cores"]);
    let limits = match question.leases {
        Switch::On => "limits, with leases",
        Switch::Off => "limits, without leases",
    };
    for (name, number, cores) in [
        ("tokens not in memory", traffic.cold_reads, cpu.cold_reads),
        (limits, traffic.takes, cpu.takes),
        ("balance guard", traffic.guards, cpu.guards),
        ("tokens refreshed", traffic.refreshes, cpu.refreshes),
        ("word of changes to gateways", traffic.invalidations, cpu.invalidations),
        ("signs of life, heartbeats", traffic.signs + traffic.heartbeats, cpu.signs),
    ] {
        table.add_row([name.to_owned(), count(number), format!("{cores:.2}")]);
    }
    table.add_row([
        "all commands".to_owned(),
        count(traffic.commands()),
        format!("{:.2}", cpu.all()),
    ]);
    let mut more = empty(&["Redis", ""]);
    more.add_row(["parts × masters".to_owned(), masters(redis)]);
    more.add_row(["main thread of the busiest".into(), percent(redis.busiest)]);
    more.add_row(["one TPP may send at most".into(), percent(redis.largest_tpp_max)]);
    more.add_row([
        "records".to_owned(),
        format!("{:.0} GB", redis.records_gb * f64::from(redis.parts)),
    ]);
    more.add_row(["memory of all masters".into(), gigabytes(redis.memory_gb)]);
    more.add_row([
        "network of all masters".into(),
        format!("{} Mbit/s", count(redis.network_mbit)),
    ]);
    let changes = count(redis.gateways_by_changes.floor());
    more.add_row(["changes matter from so many gateways".into(), changes]);
    let signs = count(redis.gateways_by_signs.floor());
    more.add_row(["signs of life matter from".into(), signs]);
    format!("\n{}\n\n{}\n", text(&table), text(&more))
}

/// What was measured, and beside the bare proxy.
#[must_use]
pub fn measured(costs: &Costs) -> String {
    let (gateway, bare) = (&costs.gateway, &costs.bare);
    let mut table = empty(&["measured", "Octroi", "bare Pingora", "ratio"]);
    let rows = [
        ("request, keep-alive", gateway.request_us, bare.request_us, micros as fn(f64) -> String),
        ("handshake, P-256", gateway.handshake_p256_us, bare.handshake_p256_us, micros),
        ("handshake, RSA-2048", gateway.handshake_rsa2048_us, bare.handshake_rsa2048_us, micros),
        ("open connection", gateway.connection_bytes, bare.connection_bytes, kilobytes),
    ];
    for (name, ours, floor, shown) in rows {
        table.add_row([name.to_owned(), shown(ours), shown(floor), format!("{:.2}", ours / floor)]);
    }
    let mut only = |name: &str, value: String| {
        table.add_row([name.to_owned(), value, String::new(), String::new()]);
    };
    only("+ a script of Redis", micros(gateway.script_us()));
    only("+ a token not in memory", micros(gateway.cold_token_us()));
    only("word of a changed record", micros(gateway.invalidation_us));
    only("access log, one request", format!("{:.0} B", gateway.audit_bytes));
    only("process", gigabytes(gateway.process_bytes / 1e9));
    only("one codetab", kilobytes(gateway.codetab_bytes));
    let mut page = text(&table) + "\n";
    if let Some(redis) = &costs.redis {
        let mut table = empty(&["Redis", "CPU", "", "memory"]);
        let rows = [
            ("read a token", redis.read_us, "a token", redis.token_bytes),
            ("count a rate", redis.take_us, "a consent", redis.consent_bytes),
            ("count a window of 20", redis.window_us, "a rate's bucket", redis.bucket_bytes),
            ("refresh a token", redis.transact_us, "a window of 20", redis.window_bytes),
        ];
        for (command, cpu, record, bytes) in rows {
            let cells =
                [command.to_owned(), micros(cpu), record.to_owned(), format!("{bytes:.0} B")];
            table.add_row(cells);
        }
        let mut only = |name: &str, value: String| {
            table.add_row([name.to_owned(), value, String::new(), String::new()]);
        };
        only("sign of life, alone", micros(redis.sign_us));
        only("+ each other gateway", micros(redis.sign_each_us));
        only("tell a gateway of a change", micros(redis.invalidation_us));
        only("read, 16 at once, of that", percent(redis.work_share));
        let _ = write!(page, "\n{}\n", text(&table));
    }
    page
}

fn empty(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Without the blanks that fill up each line.
fn text(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// With a thin gap between thousands.
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

fn micros(micros: f64) -> String {
    if micros < 1e3 { format!("{micros:.1} µs") } else { format!("{:.1} ms", micros / 1e3) }
}

fn kilobytes(bytes: f64) -> String {
    format!("{:.1} kB", bytes / 1e3)
}

fn gigabytes(gigabytes: f64) -> String {
    format!("{gigabytes:.2} GB")
}

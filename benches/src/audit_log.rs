//! An access log as a gateway of 18 banks would have written it, of any length: for the figures of
//! `octroi audit`, and for tests that break one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use octroi::audit::chain::{Chain, SigningKey, public_pem};
use octroi::audit::shelf::LogFile;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Which log.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Records of requests.
    pub records: u64,
    /// Files that they are spread over.
    pub files: u64,
    /// When the first came.
    pub from: Timestamp,
    /// Time from one request to the next.
    pub pace: SignedDuration,
    /// Lines of a compressed frame; plain files where there is none.
    pub frame_lines: Option<u64>,
    /// Lines from one checkpoint to the next.
    pub checkpoint_lines: u64,
    /// Makes it the same again.
    pub seed: u64,
    /// Whose hosts and certificates are in it.
    pub bank: Bank,
}

/// Hosts that were asked for, and certificates that were shown there.
#[derive(Clone, Debug)]
pub struct Bank {
    /// Of the hosts `www.<codetab>.<domain>`.
    pub domain: String,
    /// The banks behind them.
    pub codetabs: Vec<String>,
    /// SHA-256 of certificates, in hexadecimal: TPPs show them turn by turn. None: each has one of its own
    /// that nobody issued.
    pub certificates: Vec<String>,
}

impl Default for Bank {
    fn default() -> Self {
        let codetab = |number: u32| (10_000 + 417 * number).to_string();
        Self {
            domain: "oba-bad-me-live.api.89c3.com".to_owned(),
            codetabs: (0..CODETABS).map(codetab).collect(),
            certificates: Vec::new(),
        }
    }
}

/// What was written.
pub struct Made {
    /// The key of the gateway.
    pub key: SigningKey,
    /// Its public part, in PEM.
    pub public_pem: Vec<u8>,
    /// Octets before compression.
    pub bytes: u64,
    /// Octets on disk.
    pub stored: u64,
    /// How many lines, all in all.
    pub lines: u64,
    /// Ids of some requests, from the first to the last.
    pub some: Vec<String>,
    /// How many records are [`RARE_TPP`]'s.
    pub rare: u64,
    /// How many were refused with [`COMMON_REASON`].
    pub common: u64,
}

/// A TPP that calls once in a while.
pub const RARE_TPP: &str = "PSDLT-BL-LB002117";
/// One of so many requests is its.
pub const RARE_ONE_OF: u64 = 100_000;
/// A reason that many are refused for.
pub const COMMON_REASON: &str = "token_expired";
/// Requests whose id is kept.
const SOME: u64 = 16;
const CODETABS: u32 = 18;
const TPPS: u32 = 240;

/// A file that is being written.
struct Writing<'a> {
    out: Box<dyn Write + 'a>,
    frame: Vec<u8>,
    frame_lines: Option<u64>,
    in_frame: u64,
    name: String,
    path: PathBuf,
    chain: Chain,
    checkpoints: &'a mut Vec<u8>,
    key: &'a SigningKey,
    bytes: u64,
    lines: u64,
    last_checkpoint: u64,
}

impl Plan {
    /// `records` at a thousand a second from the beginning of a day on, in plain files.
    #[must_use]
    pub fn new(records: u64, files: u64) -> Self {
        let from = Timestamp::constant(1_795_305_600, 0);
        let pace = SignedDuration::from_millis(1);
        let (frame_lines, checkpoint_lines, seed) = (None, 1000, 7);
        let bank = Bank::default();
        Self { records, files, from, pace, frame_lines, checkpoint_lines, seed, bank }
    }

    /// Writes the log into `directory`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, directory: &Path) -> io::Result<Made> {
        let key = SigningKey::generate().map_err(io::Error::other)?;
        self.write_signed(directory, key)
    }

    /// Writes the log into `directory`, signed with `key`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write_signed(&self, directory: &Path, key: SigningKey) -> io::Result<Made> {
        let public = key.public().map_err(io::Error::other)?;
        let mut random = StdRng::seed_from_u64(self.seed);
        let tpps = Tpp::all(&self.bank, &mut random);
        let mut made = Made {
            public_pem: public_pem(&public).map_err(io::Error::other)?,
            bytes: 0,
            stored: 0,
            lines: 0,
            some: Vec::new(),
            rare: 0,
            common: 0,
            key,
        };
        let mut previous: Option<(String, u64, String)> = None;
        let mut written = 0;
        for file in 1..=self.files {
            let until = self.records * file / self.files;
            let mut checkpoints = Vec::new();
            let begun = self.at(written);
            let mut writing = self.begin(directory, file, begun, &made.key, &mut checkpoints)?;
            writing.line(&header(&writing.name, begun, &public, previous.as_ref()))?;
            while written < until {
                let who = match written % RARE_ONE_OF == RARE_ONE_OF / 2 {
                    true => &tpps.0,
                    false => tpps.1.get(skewed(&mut random) as usize).unwrap_or(&tpps.0),
                };
                let one = Call::new(who, &self.bank, self.at(written), &mut random);
                made.rare += u64::from(who.id == RARE_TPP);
                made.common += u64::from(one.reason == Some(COMMON_REASON));
                if written % (self.records / SOME).max(1) == 0 {
                    made.some.push(one.id.clone());
                }
                if let Some(line) = one.permitted() {
                    writing.line(&line)?;
                }
                writing.line(&one.record(&mut random))?;
                written += 1;
                if writing.lines - writing.last_checkpoint >= self.checkpoint_lines {
                    writing.checkpoint(self.at(written))?;
                }
            }
            let closed = format!(
                r#"{{"@timestamp":"{}","event.action":"audit_closed","message":"the log goes on in another file"}}"#,
                self.at(written)
            );
            writing.line(closed.as_bytes())?;
            writing.checkpoint(self.at(written))?;
            writing.flush()?;
            made.bytes += writing.bytes;
            made.lines += writing.lines;
            let (next, hash) = (writing.chain.next(), hex::encode(writing.chain.hash()));
            previous = Some((writing.name.clone(), next - 1, hash));
            let path = writing.path.clone();
            drop(writing);
            made.stored += path.metadata()?.len();
            let mut list = OpenOptions::new();
            let list = list.create(true).append(true).open(directory.join("checkpoints.jsonl"));
            list?.write_all(&checkpoints)?;
        }
        Ok(made)
    }

    fn at(&self, record: u64) -> Timestamp {
        let record = i32::try_from(record).unwrap_or(i32::MAX);
        self.pace
            .checked_mul(record)
            .and_then(|after| self.from.checked_add(after).ok())
            .unwrap_or(Timestamp::MAX)
    }

    fn begin<'a>(
        &self,
        directory: &Path,
        number: u64,
        at: Timestamp,
        key: &'a SigningKey,
        checkpoints: &'a mut Vec<u8>,
    ) -> io::Result<Writing<'a>> {
        let name = LogFile::name_of(at.to_zoned(TimeZone::UTC).date(), number);
        let stored = if self.frame_lines.is_some() { format!("{name}.zst") } else { name.clone() };
        let path = directory.join(stored);
        Ok(Writing {
            out: Box::new(BufWriter::with_capacity(1 << 20, File::create(&path)?)),
            frame: Vec::new(),
            frame_lines: self.frame_lines,
            in_frame: 0,
            name,
            path,
            chain: Chain::default(),
            checkpoints,
            key,
            bytes: 0,
            lines: 0,
            last_checkpoint: 0,
        })
    }
}

impl Writing<'_> {
    fn line(&mut self, object: &[u8]) -> io::Result<()> {
        let start = self.frame.len();
        self.frame.extend_from_slice(object);
        self.chain.seal(&mut self.frame, start);
        self.lines += 1;
        self.in_frame += 1;
        if self.in_frame >= self.frame_lines.unwrap_or(4096) {
            self.flush_frame()?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, at: Timestamp) -> io::Result<()> {
        let signed = self.key.sign(&self.name, &self.chain, at).map_err(io::Error::other)?;
        let Some(signed) = signed else { return Ok(()) };
        let text = serde_json::to_vec(&signed)?;
        self.checkpoints.extend_from_slice(&text);
        self.checkpoints.push(b'\n');
        self.last_checkpoint = self.lines + 1;
        self.line(&text)
    }

    fn flush_frame(&mut self) -> io::Result<()> {
        self.bytes += self.frame.len() as u64;
        match self.frame_lines {
            Some(_) => self.out.write_all(&octroi::audit::shelf::packed(&self.frame)?)?,
            None => self.out.write_all(&self.frame)?,
        }
        self.frame.clear();
        self.in_frame = 0;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_frame()?;
        self.out.flush()
    }
}

fn header(
    name: &str,
    at: Timestamp,
    public: &[u8],
    previous: Option<&(String, u64, String)>,
) -> Vec<u8> {
    let previous = match previous {
        Some((file, sequence, hash)) => {
            format!(r#"{{"file":"{file}","sequence":{sequence},"hash":"{hash}"}}"#)
        }
        None => "null".to_owned(),
    };
    format!(
        r#"{{"@timestamp":"{at}","event.action":"audit_opened","ecs.version":"8.17.0","octroi.format":1,"octroi.file":"{name}","octroi.gateway":"gateway-1/7","octroi.software":"octroi","octroi.public_key":"{}","octroi.hmac_key":"5f1d9c0b7a3e2468","octroi.previous":{previous}}}"#,
        STANDARD.encode(public)
    )
    .into_bytes()
}

/// Few call often, many seldom.
fn skewed(random: &mut StdRng) -> u32 {
    let most = random.random_range(0..TPPS);
    random.random_range(0..=most)
}

struct Tpp {
    id: String,
    certificate: String,
    serial: String,
    ip: String,
}

impl Tpp {
    fn all(bank: &Bank, random: &mut StdRng) -> (Self, Vec<Self>) {
        let rare = Self::new(RARE_TPP.to_owned(), random);
        let id = |number| format!("PSDFR-ACPR-{}", 10_000 + 37 * number);
        let mut all: Vec<Self> = (0..TPPS).map(|number| Self::new(id(number), random)).collect();
        for (tpp, shown) in all.iter_mut().zip(bank.certificates.iter().cycle()) {
            tpp.certificate.clone_from(shown);
        }
        (rare, all)
    }

    fn new(id: String, random: &mut StdRng) -> Self {
        let ip = random.random::<u32>().to_be_bytes();
        Self {
            id,
            certificate: hexadecimal(32, random),
            serial: hexadecimal(16, random),
            ip: format!("{}.{}.{}.{}", ip[0] % 200 + 1, ip[1], ip[2], ip[3]),
        }
    }
}

fn hexadecimal(bytes: usize, random: &mut StdRng) -> String {
    let mut raw = vec![0; bytes];
    random.fill_bytes(&mut raw);
    hex::encode(raw)
}

/// One request.
struct Call<'a> {
    who: &'a Tpp,
    at: Timestamp,
    id: String,
    trace: String,
    domain: &'a str,
    codetab: &'a str,
    reason: Option<&'static str>,
    status: u16,
    check: &'static str,
    total_us: u64,
}

impl<'a> Call<'a> {
    fn new(who: &'a Tpp, bank: &'a Bank, at: Timestamp, random: &mut StdRng) -> Self {
        let (reason, status, check) = match random.random_range(0..10_000) {
            0..300 => (Some(COMMON_REASON), 401, "token"),
            300..500 => (Some("quota_exceeded"), 429, "quota"),
            500..600 => (Some("consent_expired"), 401, "consent"),
            600..640 => (Some("body_invalid"), 400, "body"),
            640..650 => (Some("register_withdrawn"), 403, "register"),
            650..652 => (Some("certificate_revoked"), 403, "revocation"),
            _ => (None, 200, ""),
        };
        let random_bits = hexadecimal(10, random);
        let (a, b, c) = (&random_bits[..3], &random_bits[3..6], &random_bits[6..18]);
        let millis = format!("{:012x}", at.as_millisecond());
        Self {
            who,
            at,
            id: format!("{}-{}-7{a}-b{b}-{c}", &millis[..8], &millis[8..]),
            trace: hexadecimal(16, random),
            domain: &bank.domain,
            codetab: &bank.codetabs[random.random_range(0..bank.codetabs.len())],
            reason,
            status,
            check,
            total_us: 800 + u64::from(random.random_range(0..60_000_u32)),
        }
    }

    fn permitted(&self) -> Option<Vec<u8>> {
        let after = self.at.checked_add(SignedDuration::from_micros(700)).ok()?;
        let Self { who, id, trace, codetab, .. } = self;
        self.reason.is_none().then(|| {
            format!(
                r#"{{"@timestamp":"{after}","event.action":"request_permitted","http.request.id":"{id}","trace.id":"{trace}","organization.id":"{}","octroi.codetab":"{codetab}","octroi.api":"funds-confirmation","octroi.version":"v1.6.2"}}"#,
                who.id
            )
            .into_bytes()
        })
    }

    fn record(&self, random: &mut StdRng) -> Vec<u8> {
        let Self { who, at, id, trace, domain, codetab, status, check, total_us, .. } = self;
        let Tpp { id: oid, certificate, serial, ip } = who;
        let (ecs, outcome) = match self.reason {
            None => ("success", "allowed"),
            Some(_) => ("failure", "refused"),
        };
        let why = self.reason.map(|reason| {
            format!(r#""event.reason":"{reason}","message":"a sentence about it that the TPP has read","#)
        });
        let checks = r#"{"check":"trust","passed":true,"source":"anchors","version":"05ab5eca844ae350"},{"check":"revocation","passed":true,"source":"crl","as_of":"2026-11-21T04:54:35Z"},{"check":"register","passed":true,"source":"regafi_register","version":"2f00360e44cfac12","as_of":"2026-11-21T05:54:35Z"},{"check":"token","passed":true,"source":"token_cache"}"#;
        let failed = match check.is_empty() {
            true => String::new(),
            false => format!(r#",{{"check":"{check}","passed":false,"source":"request"}}"#),
        };
        let upstream = match self.reason {
            None => format!(r#""server.address":"10.1.{}.9:8080","#, codetab.len()),
            Some(_) => String::new(),
        };
        format!(
            r#"{{"@timestamp":"{at}","event.action":"request","event.outcome":"{ecs}","event.duration":{}000,"http.request.id":"{id}","trace.id":"{trace}","client.ip":"{ip}","client.port":{},"tls.version":"1.3","tls.client.server_name":"www.{codetab}.{domain}","tls.client.hash.sha256":"{certificate}","tls.client.x509.serial_number":"{serial}","organization.id":"{oid}","octroi.role":"PSP_IC","http.version":"2","http.request.method":"POST","url.domain":"www.{codetab}.{domain}","url.path":"/stet/psd2/v1.6.2/funds-confirmations","octroi.codetab":"{codetab}","octroi.api":"funds-confirmation","octroi.version":"v1.6.2","octroi.outcome":"{outcome}",{}"http.response.status_code":{status},"octroi.checks":[{checks}{failed}],"http.request.body.bytes":214,"http.response.body.bytes":{},{upstream}"octroi.timing":{{"total_us":{total_us},"store_us":{},"upstream_us":{}}},"octroi.hmac_key":"5f1d9c0b7a3e2468","octroi.psu_hmac":"{}","octroi.iban_hmac":"{}"}}"#,
            total_us,
            random.random_range(1024..65_535_u32),
            why.unwrap_or_default(),
            random.random_range(60..900_u32),
            total_us / 9,
            if self.reason.is_none() { total_us * 3 / 4 } else { 0 },
            hexadecimal(32, random),
            hexadecimal(32, random),
        )
        .into_bytes()
    }
}

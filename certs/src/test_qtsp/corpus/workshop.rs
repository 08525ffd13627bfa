//! The CAs of the corpus, the certificate that every member starts from, and the bench where it is
//! bent.

use jiff::{SignedDuration, Timestamp};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslContext, SslMethod};
use openssl::x509::X509;

use super::authority::{Ca, below, ca_draft, crl, curve, p256, pem, self_signed, serial};
use super::{Corpus, Expect, Member};
use crate::test_qtsp::QtspError;
use crate::test_qtsp::der::sequence;
use crate::test_qtsp::draft::{
    ALTERNATIVE_NAME, Algorithm, BASIC_CONSTRAINTS, COMMON_NAME, COUNTRY, CRL_POINTS, Draft,
    EXT_KEY_USAGE, Extension, ISSUER_INFO, KEY_USAGE, ORGANISATION, ORGANISATION_ID, Psd2,
    QC_STATEMENTS, attribute, basic_constraints, crl_point, dns_name, ext_key_usage, issuer_info,
    key_usage, qc_type, statement,
};

pub(super) const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
pub(super) const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub(super) const QC_COMPLIANCE: &str = "0.4.0.1862.1.1";
pub(super) const PSD2_STATEMENT: &str = "0.4.0.19495.2";
/// The organisation that the corpus' register knows with every right.
pub(super) const ORGANISATION_ID_GOOD: &str = "PSDIE-CBI-C1";

/// A member before it is signed.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) draft: Draft,
    pub(super) issuer: Ca,
    pub(super) key: PKey<Private>,
    /// PKCS #8, where it is not what OpenSSL would write.
    pub(super) key_pem: Option<Vec<u8>>,
    pub(super) psd2: Psd2,
    /// Sent with the leaf.
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) presentable: bool,
}

impl Piece {
    /// Puts a qcStatements extension of `statements` in place of the good one.
    pub(super) fn state(&mut self, statements: &[Vec<u8>]) -> Result<(), QtspError> {
        let value = sequence(statements)?;
        self.draft.set(QC_STATEMENTS, value);
        Ok(())
    }

    /// Writes the PSD2 statement anew, beside QcCompliance and QcType web.
    pub(super) fn restate(&mut self) -> Result<(), QtspError> {
        let psd2 = self.psd2.encode()?;
        self.state_psd2(psd2)
    }

    /// The same with a PSD2 statement of any shape.
    pub(super) fn state_psd2(&mut self, psd2: Vec<u8>) -> Result<(), QtspError> {
        self.state(&[
            statement(QC_COMPLIANCE, None)?,
            qc_type(&["3"])?,
            statement(PSD2_STATEMENT, Some(psd2))?,
        ])
    }

    pub(super) fn roles(&mut self, roles: &[(&str, &str)]) -> Result<(), QtspError> {
        let full =
            |(arc, name): &(&str, &str)| (format!("0.4.0.19495.1.{arc}"), (*name).to_owned());
        self.psd2.roles = roles.iter().map(full).collect();
        self.restate()
    }

    /// Another organizationIdentifier in UTF-8.
    pub(super) fn rename(&mut self, id: &str) {
        self.draft.rename(ORGANISATION_ID, 12, id.as_bytes());
    }

    pub(super) fn with_key(&mut self, key: PKey<Private>) -> Result<(), QtspError> {
        self.draft.key = key.public_key_to_der()?;
        self.key = key;
        Ok(())
    }

    pub(super) fn issued_by(&mut self, issuer: &Ca) {
        self.draft.algorithm = issuer.algorithm;
        self.issuer = issuer.clone();
    }
}

pub(super) struct Workshop {
    pub(super) now: Timestamp,
    /// Named by trusted lists as issuing; its own issuer is no anchor.
    pub(super) issuing: Ca,
    /// A root that is an anchor, on P-384.
    pub(super) root: Ca,
    /// A root that is an anchor, with RSA.
    pub(super) rsa: Ca,
    key: PKey<Private>,
    intermediates: Vec<Vec<u8>>,
    lists: Vec<(&'static str, Ca, Vec<Vec<u8>>, bool)>,
    members: Vec<Member>,
}

pub(super) fn accept() -> Expect {
    Expect { reason: None, lint: None, warning: None }
}

pub(super) fn warn(warning: &'static str) -> Expect {
    Expect { reason: None, lint: None, warning: Some(warning) }
}

pub(super) fn refuse(reason: &'static str) -> Expect {
    Expect { reason: Some(reason), lint: None, warning: None }
}

/// Refused by the profile.
pub(super) fn lint(reason: &'static str, lint: &'static str) -> Expect {
    Expect { reason: Some(reason), lint: Some(lint), warning: None }
}

pub(super) type Bend<'a> = &'a dyn Fn(&mut Piece) -> Result<(), QtspError>;

impl Workshop {
    pub(super) fn open(now: Timestamp) -> Result<Self, QtspError> {
        let top = self_signed("Corpus Root CA 1", p256()?, Algorithm::EcdsaSha256, now)?;
        let issuing = below(&top, "Corpus Issuing CA 1", p256()?, Algorithm::EcdsaSha256, now)?;
        let root =
            self_signed("Corpus Root CA 2", curve(Nid::SECP384R1)?, Algorithm::EcdsaSha384, now)?;
        let rsa_key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let rsa = self_signed("Corpus RSA CA 3", rsa_key, Algorithm::RsaSha256, now)?;
        let lists = vec![
            ("issuing-1", issuing.clone(), Vec::new(), false),
            ("root-2", root.clone(), Vec::new(), false),
            ("rsa-3", rsa.clone(), Vec::new(), false),
        ];
        let (intermediates, members) = (Vec::new(), Vec::new());
        Ok(Self { now, issuing, root, rsa, key: p256()?, intermediates, lists, members })
    }

    pub(super) fn hours(&self, hours: i64) -> Timestamp {
        self.now.checked_add(SignedDuration::from_hours(hours)).unwrap_or(self.now)
    }

    /// A CA below `parent` that the gateway knows, with its revocation list.
    pub(super) fn ca(
        &mut self,
        parent: &Ca,
        list: &'static str,
        common_name: &str,
        bend: &dyn Fn(&mut Draft) -> Result<(), QtspError>,
    ) -> Result<Ca, QtspError> {
        let ca = self.unlisted_ca(parent, common_name, bend)?;
        self.lists.push((list, ca.clone(), Vec::new(), false));
        self.publish(&ca);
        Ok(ca)
    }

    /// A CA below `parent` that the gateway does not know and that publishes no list.
    pub(super) fn unlisted_ca(
        &self,
        parent: &Ca,
        common_name: &str,
        bend: &dyn Fn(&mut Draft) -> Result<(), QtspError>,
    ) -> Result<Ca, QtspError> {
        self.ca_with_key(parent, common_name, p256()?, bend)
    }

    /// The same name and key as another CA's may have.
    pub(super) fn ca_with_key(
        &self,
        parent: &Ca,
        common_name: &str,
        key: PKey<Private>,
        bend: &dyn Fn(&mut Draft) -> Result<(), QtspError>,
    ) -> Result<Ca, QtspError> {
        let mut draft = ca_draft(common_name, &key, parent.algorithm, self.now)?;
        bend(&mut draft)?;
        let der = draft.sign(&parent.name()?, &parent.key)?;
        let algorithm =
            if key.rsa().is_ok() { Algorithm::RsaSha256 } else { Algorithm::EcdsaSha256 };
        Ok(Ca { subject: draft.subject, key, der, algorithm })
    }

    /// A root that nobody trusts.
    pub(super) fn rogue(&self, common_name: &str) -> Result<Ca, QtspError> {
        self_signed(common_name, p256()?, Algorithm::EcdsaSha256, self.now)
    }

    /// A CA that the gateway knows without being sent it.
    pub(super) fn publish(&mut self, ca: &Ca) {
        self.intermediates.push(ca.der.clone());
    }

    /// Puts the certificate with `serial` on the list of `list`.
    pub(super) fn revoke(&mut self, list: &str, serial: &[u8]) {
        for (_, _, revoked, _) in self.lists.iter_mut().filter(|found| found.0 == list) {
            revoked.push(serial.to_vec());
        }
    }

    /// The list of `list` has ended.
    pub(super) fn end(&mut self, list: &str) {
        for (_, _, _, ended) in self.lists.iter_mut().filter(|found| found.0 == list) {
            *ended = true;
        }
    }

    /// What every member starts from: a good QWAC of the issuing CA, sent alone.
    pub(super) fn piece(&self) -> Result<Piece, QtspError> {
        let psd2 = Psd2 {
            roles: vec![("0.4.0.19495.1.4".to_owned(), "PSP_IC".to_owned())],
            authority_name: "Central Bank of Ireland".to_owned(),
            authority_id: "IE-CBI".to_owned(),
        };
        let extension =
            |oid: &'static str, critical, value| Extension { oid: oid.into(), critical, value };
        let draft = Draft {
            version: Some(2),
            serial: serial()?,
            not_before: self.hours(-24),
            not_after: self.hours(24 * 365),
            subject: vec![
                vec![attribute(COUNTRY, "IE")],
                vec![attribute(ORGANISATION, "Corpus Funds")],
                vec![attribute(ORGANISATION_ID, ORGANISATION_ID_GOOD)],
                vec![attribute(COMMON_NAME, "tpp.corpus.example")],
            ],
            key: self.key.public_key_to_der()?,
            extensions: vec![
                extension(BASIC_CONSTRAINTS, true, basic_constraints(false, None)?),
                extension(KEY_USAGE, true, key_usage(&[0])?),
                extension(EXT_KEY_USAGE, false, ext_key_usage(&[SERVER_AUTH, CLIENT_AUTH])?),
                extension(ALTERNATIVE_NAME, false, dns_name("tpp.corpus.example")?),
                extension(CRL_POINTS, false, crl_point("http://crl.corpus.invalid/1.crl")?),
                extension(
                    ISSUER_INFO,
                    false,
                    issuer_info("http://ocsp.corpus.invalid/", "http://ca.corpus.invalid/1.cer")?,
                ),
            ],
            identified: true,
            algorithm: self.issuing.algorithm,
            inner_algorithm: None,
        };
        let mut piece = Piece {
            draft,
            issuer: self.issuing.clone(),
            key: self.key.clone(),
            key_pem: None,
            psd2,
            sent: Vec::new(),
            presentable: true,
        };
        piece.restate()?;
        Ok(piece)
    }

    /// Bends a good piece, signs it, keeps it.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        about: &'static str,
        clause: &'static str,
        expect: Expect,
        bend: Bend<'_>,
    ) -> Result<(), QtspError> {
        let mut piece = self.piece()?;
        bend(&mut piece)?;
        let der = piece.draft.sign(&piece.issuer.name()?, &piece.issuer.key)?;
        self.keep(name, about, clause, expect, &piece, der)
    }

    /// Bends the signed octets.
    pub(super) fn add_spoilt(
        &mut self,
        name: &'static str,
        about: &'static str,
        clause: &'static str,
        expect: Expect,
        spoil: &dyn Fn(&mut Vec<u8>) -> Result<(), QtspError>,
    ) -> Result<(), QtspError> {
        let piece = self.piece()?;
        let mut der = piece.draft.sign(&piece.issuer.name()?, &piece.issuer.key)?;
        spoil(&mut der)?;
        self.keep(name, about, clause, expect, &piece, der)
    }

    fn keep(
        &mut self,
        name: &'static str,
        about: &'static str,
        clause: &'static str,
        expect: Expect,
        piece: &Piece,
        der: Vec<u8>,
    ) -> Result<(), QtspError> {
        let chain: Vec<&[u8]> =
            std::iter::once(&der).chain(&piece.sent).map(Vec::as_slice).collect();
        let key_pem = match &piece.key_pem {
            Some(pem) => pem.clone(),
            None => piece.key.private_key_to_pem_pkcs8()?,
        };
        self.members.push(Member {
            name,
            about,
            clause,
            chain_pem: pem("CERTIFICATE", &chain),
            key_pem,
            // What OpenSSL does not read, no TLS client of it sends.
            presentable: piece.presentable && is_read(&der),
            expect,
        });
        Ok(())
    }

    pub(super) fn close(self) -> Result<Corpus, QtspError> {
        let anchors = [&self.issuing, &self.root, &self.rsa].map(|ca| ca.der.as_slice());
        let intermediates: Vec<&[u8]> = self.intermediates.iter().map(Vec::as_slice).collect();
        let hours = |hours| self.hours(hours);
        let lists = self.lists.iter().map(|(list, ca, revoked, ended)| {
            let until = if *ended { hours(-1) } else { hours(48) };
            Ok((*list, pem("X509 CRL", &[&crl(ca, revoked, hours(-2), until)?])))
        });
        Ok(Corpus {
            anchors_pem: pem("CERTIFICATE", &anchors),
            intermediates_pem: pem("CERTIFICATE", &intermediates),
            crls: lists.collect::<Result<_, QtspError>>()?,
            members: self.members,
        })
    }
}

fn is_read(der: &[u8]) -> bool {
    let taken = || -> Result<bool, ErrorStack> {
        let certificate = X509::from_der(der)?;
        let mut context = SslContext::builder(SslMethod::tls_client())?;
        context.set_security_level(0);
        context.set_certificate(&certificate)?;
        // It reads what comes first, whatever follows.
        Ok(certificate.to_der()? == der)
    };
    // Extensions that cannot be read fail nothing at first: the error only stays behind.
    taken().unwrap_or(false) && ErrorStack::get().errors().is_empty()
}

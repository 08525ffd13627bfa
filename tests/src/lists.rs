//! Trusted lists as member states sign them, made up and signed with xmlsec1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::Leaf;
use certs::test_qtsp::{Authority, KeyKind, Kind, Recipe};
use jiff::{SignedDuration, Timestamp};

/// Who signs lists: a certificate with its key.
pub struct Signer {
    pub certificate: PathBuf,
    key: PathBuf,
    der: Vec<u8>,
}

impl Signer {
    /// Valid from an hour ago for so many hours.
    pub fn new(dir: &Path, name: &str, hours: i64) -> Self {
        let now = Timestamp::now();
        let mut recipe = Recipe::qwac(name, "PSDIE-CBI-C1", &[], now);
        (recipe.kind, recipe.key) = (Kind::TlsClient, KeyKind::Rsa(2048));
        recipe.not_before = now.checked_sub(SignedDuration::from_hours(48)).unwrap();
        recipe.not_after = now.checked_add(SignedDuration::from_hours(hours)).unwrap();
        let issued = Authority::generate(name, now).unwrap().issue(&recipe).unwrap();
        let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        let pem = issued.chain_pem().unwrap();
        let leaf = Leaf::from_pem(&pem).unwrap().0;
        let first = openssl::x509::X509::from_der(leaf.der()).unwrap().to_pem().unwrap();
        fs::write(&certificate, first).unwrap();
        fs::write(&key, issued.key_pem().unwrap()).unwrap();
        Self { certificate, key, der: leaf.der().to_vec() }
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Signs a list whose last element is `{signature}`.
    pub fn sign(&self, list: &str, file: &Path) {
        let template = file.with_extension("template");
        fs::write(&template, list.replace("{signature}", TEMPLATE)).unwrap();
        let signed = Command::new("xmlsec1")
            .args(["--sign", "--id-attr:Id"])
            .arg("http://uri.etsi.org/01903/v1.3.2#:SignedProperties")
            .arg("--privkey-pem")
            .arg(format!("{},{}", self.key.display(), self.certificate.display()))
            .arg("--output")
            .args([file, &template])
            .output()
            .expect("xmlsec1 is installed by `make test`");
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    }
}

const TEMPLATE: &str = r##"<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="S"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference><ds:Reference Type="http://uri.etsi.org/01903#SignedProperties" URI="#P"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate/></ds:X509Data></ds:KeyInfo><ds:Object><x:QualifyingProperties xmlns:x="http://uri.etsi.org/01903/v1.3.2#" Target="#S"><x:SignedProperties Id="P"><x:SignedSignatureProperties><x:SigningTime>2026-01-01T00:00:00Z</x:SigningTime></x:SignedSignatureProperties></x:SignedProperties></x:QualifyingProperties></ds:Object></ds:Signature>"##;

/// What a list is made of.
pub struct List<'a> {
    pub territory: &'a str,
    pub sequence: u64,
    /// Issuing CAs in PEM, each with its ServiceStatus.
    pub services: Vec<(Vec<u8>, &'a str)>,
    /// National lists: territory, URL, signer.
    pub pointers: Vec<(&'a str, String, &'a Signer)>,
    /// Hours until it ends.
    pub hours: i64,
}

impl List<'_> {
    /// The document, with `{signature}` in the place of one.
    pub fn xml(&self) -> String {
        let now = Timestamp::now();
        let at = |hours| now.checked_add(SignedDuration::from_hours(hours)).unwrap();
        let kind = if self.pointers.is_empty() { "EUgeneric" } else { "EUlistofthelists" };
        let pointers: String = self
            .pointers
            .iter()
            .map(|(territory, location, signer)| {
                format!(
                    "<OtherTSLPointer><ServiceDigitalIdentities><ServiceDigitalIdentity><DigitalId><X509Certificate>{}</X509Certificate></DigitalId></ServiceDigitalIdentity></ServiceDigitalIdentities><TSLLocation>{location}</TSLLocation><AdditionalInformation><OtherInformation><TSLType>http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric</TSLType></OtherInformation><OtherInformation><SchemeTerritory>{territory}</SchemeTerritory></OtherInformation><OtherInformation><t:MimeType>application/vnd.etsi.tsl+xml</t:MimeType></OtherInformation></AdditionalInformation></OtherTSLPointer>",
                    STANDARD.encode(signer.der())
                )
            })
            .collect();
        let services: String = self
            .services
            .iter()
            .map(|(pem, status)| {
                let der = Leaf::from_pem(pem).unwrap().0.der().to_vec();
                format!(
                    "<TSPService><ServiceInformation><ServiceTypeIdentifier>http://uri.etsi.org/TrstSvc/Svctype/CA/QC</ServiceTypeIdentifier><ServiceName><Name xml:lang=\"en\">Issuing</Name></ServiceName><ServiceDigitalIdentity><DigitalId><X509Certificate>{}</X509Certificate></DigitalId></ServiceDigitalIdentity><ServiceStatus>http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/{status}</ServiceStatus><StatusStartingTime>2020-01-01T00:00:00Z</StatusStartingTime><ServiceInformationExtensions><Extension Critical=\"true\"><AdditionalServiceInformation><URI xml:lang=\"en\">http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/ForWebSiteAuthentication</URI></AdditionalServiceInformation></Extension><Extension Critical=\"true\"><AdditionalServiceInformation><URI xml:lang=\"en\">http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/ForeSeals</URI></AdditionalServiceInformation></Extension></ServiceInformationExtensions></ServiceInformation></TSPService>",
                    STANDARD.encode(der)
                )
            })
            .collect();
        let providers = if services.is_empty() {
            String::new()
        } else {
            format!(
                "<TrustServiceProviderList><TrustServiceProvider><TSPInformation><TSPName><Name xml:lang=\"en\">A QTSP</Name></TSPName></TSPInformation><TSPServices>{services}</TSPServices></TrustServiceProvider></TrustServiceProviderList>"
            )
        };
        let (territory, sequence) = (self.territory, self.sequence);
        let (issued, until) = (at(-24), at(self.hours));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><TrustServiceStatusList xmlns=\"http://uri.etsi.org/02231/v2#\" xmlns:t=\"http://uri.etsi.org/02231/v2/additionaltypes#\" TSLTag=\"http://uri.etsi.org/19612/TSLTag\"><SchemeInformation><TSLVersionIdentifier>6</TSLVersionIdentifier><TSLSequenceNumber>{sequence}</TSLSequenceNumber><TSLType>http://uri.etsi.org/TrstSvc/TrustedList/TSLType/{kind}</TSLType><SchemeTerritory>{territory}</SchemeTerritory><PointersToOtherTSL>{pointers}</PointersToOtherTSL><ListIssueDateTime>{issued:.0}</ListIssueDateTime><NextUpdate><dateTime>{until:.0}</dateTime></NextUpdate></SchemeInformation>{providers}{{signature}}</TrustServiceStatusList>"
        )
    }
}

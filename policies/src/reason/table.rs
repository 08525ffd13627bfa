//! The rows.

use super::{Blame, Row};

reasons! {
    CertificateMissing "certificate_missing" 403 Tpp
        "No client certificate"
        "No client certificate was presented in the TLS handshake."
        "Present your QWAC and its key in the TLS handshake."
        "RTS (EU) 2018/389 art. 34; RFC 8705 §2";
    CertificateUntrusted "certificate_untrusted" 403 Tpp
        "Certificate not issued by a trusted QTSP"
        "The client certificate does not chain to a QTSP that this bank trusts."
        "Use a QWAC of a QTSP on an EU trusted list, and send its issuing CA with it if that is not listed itself."
        "RTS (EU) 2018/389 art. 34(1); eIDAS art. 45";
    CertificateExpired "certificate_expired" 403 Tpp
        "Certificate expired"
        "The validity of the client certificate, or of a CA above it, has ended."
        "Renew the QWAC; a new one works at once, your tokens stay valid."
        "RFC 5280 §4.1.2.5";
    CertificateNotYetValid "certificate_not_yet_valid" 403 Tpp
        "Certificate not yet valid"
        "The validity of the client certificate, or of a CA above it, has not begun."
        "Wait for its notBefore, or use the certificate that is valid now; check your clock."
        "RFC 5280 §4.1.2.5";
    CertificateRevoked "certificate_revoked" 403 Tpp
        "Certificate revoked"
        "The client certificate has been revoked by its QTSP."
        "Use another QWAC; ask your QTSP why this one was revoked."
        "RFC 5280 §5; ETSI EN 319 411-2";
    CertificateNotQwac "certificate_not_qwac" 403 Tpp
        "Certificate is not a PSD2 QWAC"
        "The client certificate is not a QWAC with a PSD2 statement."
        "Use a QWAC for PSD2: QcType web, QcCompliance and the PSD2 QcStatement. A QSEALC signs, it does not connect."
        "ETSI TS 119 495 §5; EN 319 412-5 §4.2";
    CertificatePurpose "certificate_purpose" 403 Tpp
        "Certificate not usable for TLS clients"
        "The client certificate's key usage, key or signature does not fit a TLS client."
        "Ask your QTSP for a QWAC with clientAuth, digitalSignature and a key that is strong enough."
        "RFC 5280 §4.2.1.3, §4.2.1.12";
    OrganisationIdMissing "organisation_id_missing" 403 Tpp
        "No organisation id in the certificate"
        "The client certificate's subject holds no usable organizationIdentifier."
        "Ask your QTSP for a QWAC with organizationIdentifier (2.5.4.97) as ETSI TS 119 495 writes it."
        "ETSI TS 119 495 §5.2.1";
    OrganisationIdAmbiguous "organisation_id_ambiguous" 403 Tpp
        "More than one organisation id in the certificate"
        "The client certificate's subject holds more than one organizationIdentifier."
        "Ask your QTSP for a QWAC with exactly one organizationIdentifier."
        "ETSI TS 119 495 §5.2.1";
    RoleMissing "role_missing" 403 Tpp
        "Role missing in the certificate"
        "The QWAC does not carry a PSD2 role that this API needs."
        "Use a QWAC that carries the role; if you hold the authorisation, ask your QTSP to issue one."
        "ETSI TS 119 495 §5.1; PSD2 art. 65";
    RegisterUnknown "register_unknown" 403 Tpp
        "Not in the registers"
        "No authority's register lists your organisation id."
        "Check that the id in your QWAC is the one your authority publishes (EBA, REGAFI)."
        "PSD2 art. 14, 15";
    RegisterWithdrawn "register_withdrawn" 403 Tpp
        "Authorisation withdrawn"
        "The register says that your authorisation has ended."
        "Settle it with your authority; access returns with the register."
        "PSD2 art. 13, 15";
    RegisterUndetermined "register_undetermined" 403 Either
        "Authorisation not determinable"
        "The registers do not allow to tell whether you are authorised."
        "Ask your authority to mend its entry, and tell this bank's support, who may record a dated override."
        "PSD2 art. 15; EBA Q&A 2019_4650";
    RegisterRoleMissing "register_role_missing" 403 Tpp
        "Service missing in the registers"
        "The register does not list a payment service that this API needs."
        "Check which services your authority has passported and published for you."
        "PSD2 art. 5, 28; Annex I";
    RegisterPassportMissing "register_passport_missing" 403 Tpp
        "Service not passported here"
        "The register does not list a payment service that this API needs for this bank's country."
        "Ask your authority to publish your passport for this country."
        "PSD2 art. 28; EBA Q&A 2018_4432";
    RegisterStale "register_stale" 503 Bank
        "Register snapshot too old"
        "This gateway's register snapshot is older than it may be."
        "Try again later; it is on the bank's side."
        "PSD2 art. 15";
    RevocationUnknown "revocation_unknown" 503 Either
        "Revocation status unknown"
        "No current revocation status of the client certificate is at hand."
        "Try again later; if it lasts, ask your QTSP whether its revocation lists are up to date."
        "RFC 5280 §5; ETSI EN 319 411-2";
    HostUnknown "host_unknown" 404 Tpp
        "Unknown host"
        "This host name belongs to no bank served here."
        "Use www.<codetab>.<domain> with the codetab of the customer's bank."
        "RFC 9110 §7.2";
    HostRetired "host_retired" 410 Tpp
        "Host retired"
        "This host name is no longer served."
        "Move to the bank's current host name."
        "RFC 9110 §15.5.11";
    HostMismatch "host_mismatch" 421 Tpp
        "Host differs from the TLS server name"
        "The Host of the request is not the server name (SNI) of its TLS connection."
        "Open a connection for each host, with its name as SNI."
        "RFC 9110 §7.4, §15.5.20";
    PathUnknown "path_unknown" 404 Tpp
        "Unknown path"
        "No API is served at this path."
        "Send the path exactly as documented: no query, no trailing slash, no encoding."
        "RFC 9110 §15.5.5";
    MethodNotAllowed "method_not_allowed" 405 Tpp
        "Method not allowed"
        "This path does not accept this method."
        "Use the method in the Allow header."
        "RFC 9110 §15.5.6";
    VersionRetired "version_retired" 410 Tpp
        "API version retired"
        "This version of the API is no longer served."
        "Move to the successor named in the Link header."
        "RTS (EU) 2018/389 art. 30(4); RFC 8594";
    VersionBrownOut "version_brown_out" 410 Tpp
        "API version browned out"
        "This version of the API answers for a while as it will after its end."
        "Move to the successor named in the Link header; until Retry-After nothing else answers here."
        "RTS (EU) 2018/389 art. 30(4); RFC 8594";
    FallbackClosed "fallback_closed" 403 Tpp
        "Fallback closed"
        "The way to the bank's customer interface is not open here now."
        "Call the dedicated interface: leave the header fallback out."
        "RTS (EU) 2018/389 art. 33(1), (4)";
    TokenMissing "token_missing" 401 Tpp
        "No access token"
        "The request carries no Authorization header."
        "Send Authorization: Bearer with the access token."
        "RFC 6750 §2.1, §3";
    TokenMalformed "token_malformed" 401 Tpp
        "Access token malformed"
        "The Authorization header is not one bearer token."
        "Send Authorization: Bearer, one space, and the token as it was issued."
        "RFC 6750 §2.1";
    TokenUnknown "token_unknown" 401 Tpp
        "Access token unknown"
        "The access token is not known here: never issued, or revoked."
        "Get a new token with your refresh token, or a new consent."
        "RFC 6750 §3.1";
    TokenExpired "token_expired" 401 Tpp
        "Access token expired"
        "The access token has expired."
        "Get a new one with your refresh token."
        "RFC 6750 §3.1";
    TokenOtherTpp "token_other_tpp" 401 Tpp
        "Access token of another TPP"
        "The access token was not issued to the TPP of this certificate."
        "Use a token that was issued to you."
        "RFC 8705 §3; PSD2 art. 65(3)";
    TokenOtherCertificate "token_other_certificate" 401 Tpp
        "Access token bound to another certificate"
        "The access token is bound to another certificate than the one of this connection."
        "Use the certificate that the token was issued to, or get a new one with your refresh token."
        "RFC 8705 §3";
    TokenScope "token_scope" 403 Tpp
        "Scope missing"
        "The access token does not carry a scope that this API needs."
        "Ask the customer for a consent with the scope in the WWW-Authenticate header."
        "RFC 6750 §3.1";
    TokenOtherBank "token_other_bank" 403 Tpp
        "Access token of another bank"
        "The access token was issued for another codetab."
        "Send the request to the host of the bank that issued the token."
        "RFC 6750 §3.1";
    ConsentExpired "consent_expired" 401 Tpp
        "Consent expired"
        "The customer's strong authentication is older than the consent may be."
        "Send the customer to the bank again for a new strong authentication."
        "RTS (EU) 2018/389 art. 10, as amended by (EU) 2022/2360";
    SignatureMissing "signature_missing" 401 Tpp
        "No request signature"
        "This API takes only requests that are signed with your QSEALC."
        "Sign the request as the bank's documentation says, and send the Signature header."
        "STET PSD2 part 1 §3.5; RFC 9421";
    SignatureInvalid "signature_invalid" 401 Tpp
        "Request signature invalid"
        "The signature of the request does not hold, or does not cover what it must."
        "Compare your signing string with the one in the answer, or run octroi cert doctor."
        "draft-cavage-http-signatures-12 §2; RFC 9421 §3.2";
    SignatureExpired "signature_expired" 401 Tpp
        "Request signature not of now"
        "The signature was made too long ago, or in the future."
        "Sign each request when you send it; check your clock."
        "draft-cavage-http-signatures-12 §2.1; RFC 9421 §7.2.2";
    SignatureKeyUnknown "signature_key_unknown" 401 Tpp
        "Signing certificate unknown"
        "The keyId names no QSEALC that this bank knows."
        "Enrol the QSEALC, and end keyId with an underscore and its SHA-256 fingerprint."
        "STET PSD2 part 1 §3.5.1.2";
    SignatureUntrusted "signature_untrusted" 403 Tpp
        "Signing certificate not accepted"
        "The QSEALC is no QSEALC of a trusted QTSP, or has ended, or was revoked."
        "Use a QSEALC of a QTSP on an EU trusted list that is valid now."
        "ETSI TS 119 495 §5; EN 319 412-3";
    SignatureOtherOrganisation "signature_other_organisation" 403 Tpp
        "Signed by another organisation"
        "The QSEALC of the signature and the QWAC of the connection name two organisations."
        "Use a QWAC and a QSEALC of the same organisation id."
        "RTS (EU) 2018/389 art. 34";
    DigestMismatch "digest_mismatch" 401 Tpp
        "Digest does not fit the body"
        "The Digest header is missing, or not of the body that arrived."
        "Compute the digest over the octets of the body that you send, and sign it."
        "RFC 3230 §4.3.2; RFC 9530 §2";
    BodyInvalid "body_invalid" 400 Tpp
        "Request body invalid"
        "The body is not what this version of the API asks for."
        "Mend the member named in the detail."
        "STET PSD2 1.4–1.6, PaymentCoverageRequestResource";
    BodyTooLarge "body_too_large" 413 Tpp
        "Request body too large"
        "The body is larger than this API accepts."
        "Send only the members of the request."
        "RFC 9110 §15.5.14";
    CurrencyUnsupported "currency_unsupported" 400 Tpp
        "Currency not supported"
        "Only amounts in EUR can be asked about."
        "Send the amount in EUR."
        "STET PSD2 1.4–1.6, AmountType";
    IbanInvalid "iban_invalid" 400 Tpp
        "IBAN invalid"
        "accountId.iban is not a valid IBAN."
        "Check its country, length and check digits; send it without spaces."
        "ISO 13616";
    AccountUnknown "account_unknown" 404 Tpp
        "Account unknown"
        "The bank knows no such account for this consent."
        "Ask about an account that the customer has consented to."
        "STET PSD2 1.4–1.6, funds-confirmations";
    QuotaExceeded "quota_exceeded" 429 Tpp
        "Quota exceeded"
        "You have sent more requests than your quota allows."
        "Wait as long as Retry-After says."
        "RFC 6585 §4";
    UpstreamBusy "upstream_busy" 503 Bank
        "Bank system at its limit"
        "The bank's system behind this host is given no more requests at this moment."
        "Try again as Retry-After says; it is on the bank's side."
        "RFC 9110 §15.6.4; RTS (EU) 2018/389 art. 32";
    BalanceProbing "balance_probing" 429 Tpp
        "Balance probing"
        "What you have asked about this account would tell its balance, not whether a payment is covered."
        "Ask once for each payment, with its amount and an id of its own, then wait as Retry-After says."
        "PSD2 art. 65(1), (3)";
    StateUnavailable "state_unavailable" 503 Bank
        "Gateway state unavailable"
        "The gateway cannot look up what it needs to decide."
        "Try again as Retry-After says; it is on the bank's side."
        "RFC 9110 §15.6.4";
    UpstreamUnavailable "upstream_unavailable" 503 Bank
        "Bank system unavailable"
        "The bank's system behind this host does not answer."
        "Try again as Retry-After says; it is on the bank's side."
        "RFC 9110 §15.6.4; RTS (EU) 2018/389 art. 32";
    UpstreamTimeout "upstream_timeout" 504 Bank
        "Bank system too slow"
        "The bank's system behind this host did not answer in time."
        "Try again later; it is on the bank's side."
        "RFC 9110 §15.6.5; RTS (EU) 2018/389 art. 32";
    InternalFault "internal_fault" 500 Bank
        "Fault of the gateway"
        "The gateway failed on this very request."
        "Try again; if it happens again, tell the bank's support the request_id."
        "RFC 9110 §15.6.1";
    TppSuspended "tpp_suspended" 403 Tpp
        "Suspended by the bank"
        "This bank has suspended your access."
        "Ask the bank's support why; your tokens of before are gone, new ones need new consents."
        "PSD2 art. 68(5)";
    OauthRequestInvalid "oauth_request_invalid" 400 Tpp
        "OAuth request invalid"
        "The OAuth request lacks a parameter, repeats one, or holds what it must not."
        "Mend the parameter named in error_description."
        "RFC 6749 §4.1.3, §5.2, §6";
    ClientUnknown "client_unknown" 400 Tpp
        "Client unknown"
        "No application is enrolled under this client_id."
        "Enrol it at /register, or send the client_id that enrolment gave you."
        "RFC 6749 §5.2; RFC 7591";
    ClientOtherTpp "client_other_tpp" 400 Tpp
        "Client of another TPP"
        "The application with this client_id belongs to another TPP than the QWAC."
        "Use your own client_id, or the QWAC of its organisation."
        "RFC 8705 §2.1; RFC 6749 §5.2";
    GrantInvalid "grant_invalid" 400 Tpp
        "Grant invalid"
        "The code or the refresh token gives no tokens."
        "Ask the customer for the consent again, and use each code once and at once."
        "RFC 6749 §5.2";
    GrantTypeUnsupported "grant_type_unsupported" 400 Tpp
        "Grant type not supported"
        "This grant_type is not served here."
        "Use authorization_code, refresh_token, or client_credentials where it is enrolled."
        "RFC 6749 §5.2";
    ScopeInvalid "scope_invalid" 400 Tpp
        "Scope invalid"
        "The scope is unknown, not offered here, or not one."
        "Ask for exactly one of the scopes in the metadata."
        "RFC 6749 §3.3, §5.2";
    RedirectUriInvalid "redirect_uri_invalid" 400 Tpp
        "Call-back not acceptable"
        "A redirect_uri cannot be enrolled."
        "Write it as the detail says: https, one spelling, no fragment, a public host."
        "RFC 7591 §3.2.2; RFC 9700 §2.1";
    RegistrationInvalid "registration_invalid" 400 Tpp
        "Registration not acceptable"
        "The registration lacks a member, or holds what it must not."
        "Mend the member named in the detail."
        "STET registration 1.0.5; RFC 7591 §3.2.2";
    RequestMalformed "request_malformed" 400 Tpp
        "Request malformed"
        "The request is not well-formed, or two readers could understand it differently."
        "Send plain HTTP/1.1 or HTTP/2 as the detail says."
        "RFC 9112 §11.2; RFC 9113 §8.1.1";
}

//! The pages in French, with its no-break spaces: U+00A0 before a colon and inside guillemets,
//! U+202F before other double punctuation.

use super::{CodeProblem, ConsentScope, LoginProblem, MessageKind, Notice, Texts};

pub(super) struct French;

/// "1 minute", "5 minutes"; zero is singular in French.
fn count(number: u32, noun: &str) -> String {
    format!("{number}\u{a0}{noun}{}", if number < 2 { "" } else { "s" })
}

impl Texts for French {
    fn name(&self) -> &'static str {
        "Français"
    }
    fn bank(&self) -> &'static str {
        "Banque du bac à sable"
    }
    fn sandbox(&self) -> &'static str {
        "Bac à sable\u{a0}:"
    }
    fn sandbox_detail(&self) -> &'static str {
        "personnes fictives, aucun argent réel."
    }
    fn languages(&self) -> &'static str {
        "Langue"
    }
    fn footer(&self) -> &'static str {
        "La Banque du bac à sable est une banque fictive. N’y saisissez jamais vos véritables \
         identifiants bancaires."
    }
    fn error(&self) -> &'static str {
        "Erreur\u{a0}: "
    }
    fn step(&self, number: &str) -> String {
        format!("Étape {number} sur\u{a0}3")
    }
    fn leave(&self, tpp: &str) -> String {
        format!("Refuser et revenir chez {tpp}")
    }

    fn login_title(&self) -> &'static str {
        "Identifiez-vous"
    }
    fn login_lead(&self, tpp: &str) -> String {
        format!(
            "{tpp} vous envoie ici pour nous demander votre accord. Vous verrez lequel avant de \
             décider. {tpp} ne voit rien de ce que vous saisissez sur cette page."
        )
    }
    fn login_label(&self) -> &'static str {
        "Numéro de client"
    }
    fn login_hint(&self) -> &'static str {
        "Le numéro à 10 chiffres avec lequel vous vous connectez à votre banque."
    }
    fn login_next(&self) -> &'static str {
        "Continuer"
    }
    fn login_problem(&self, problem: LoginProblem) -> String {
        match problem {
            LoginProblem::Unknown => "Nous ne connaissons pas ce numéro de client. Vérifiez-le, \
                                      puis saisissez-le de nouveau."
                .to_owned(),
            LoginProblem::Locked { minutes } => format!(
                "Après plusieurs codes erronés, cet accès est bloqué. Réessayez dans {}.",
                count(minutes, "minute")
            ),
        }
    }

    fn code_title(&self) -> &'static str {
        "Saisissez le code reçu par SMS"
    }
    fn code_lead(&self, phone: &str) -> String {
        format!("Nous venons d’envoyer un code au {}.", phone.replace(' ', "\u{a0}"))
    }
    fn code_label(&self) -> &'static str {
        "Code reçu par SMS"
    }
    fn code_hint(&self) -> &'static str {
        "Ne communiquez ce code à personne, pas même à votre banque."
    }
    fn code_next(&self) -> &'static str {
        "Valider"
    }
    fn code_problem(&self, problem: CodeProblem) -> String {
        match problem {
            CodeProblem::Wrong { left: 0 } => {
                "Ce code n’est pas le bon, et il ne vous reste aucun essai.".to_owned()
            }
            CodeProblem::Wrong { left } => {
                format!("Ce code n’est pas le bon. Il vous reste {}.", count(left, "essai"))
            }
            CodeProblem::Expired => "Ce code a expiré. Nous venons de vous en envoyer un \
                                     nouveau\u{a0}: saisissez-le ci-dessous."
                .to_owned(),
        }
    }

    fn consent_title(&self, tpp: &str) -> String {
        format!("{tpp} demande votre accord")
    }
    fn consent_lead(&self, tpp: &str, bank: &str) -> String {
        format!(
            "{tpp} est un prestataire indépendant de votre banque ({bank}). Sans votre accord, nous \
             ne lui répondons pas. Vous êtes libre de refuser."
        )
    }
    fn may_title(&self, tpp: &str) -> String {
        format!("Ce que {tpp} pourra faire")
    }
    fn may(&self, scope: ConsentScope) -> &'static [&'static str] {
        match scope {
            ConsentScope::Funds => &[
                "Nous demander si le montant d’un paiement par carte est disponible sur un compte \
                 que vous choisissez. Nous répondons seulement par oui ou par non.",
            ],
            ConsentScope::Accounts => &[
                "Consulter la liste des comptes que vous choisissez, avec leur intitulé et leur \
                 IBAN.",
                "Consulter le solde de ces comptes.",
                "Consulter les opérations de ces comptes sur les 90\u{a0}derniers jours.",
            ],
        }
    }
    fn never_title(&self, tpp: &str) -> String {
        format!("Ce que {tpp} ne pourra jamais faire")
    }
    fn never(&self, scope: ConsentScope) -> &'static [&'static str] {
        match scope {
            ConsentScope::Funds => &[
                "Voir votre solde ou vos opérations.",
                "Réserver ou débiter de l’argent\u{a0}: une question ne bloque aucune somme.",
            ],
            ConsentScope::Accounts => &[
                "Payer, virer ou bloquer de l’argent.",
                "Voir les comptes que vous ne choisissez pas.",
            ],
        }
    }
    fn accounts_title(&self) -> &'static str {
        "Sur quels comptes\u{202f}?"
    }
    fn accounts_hint(&self) -> &'static str {
        "Cochez au moins un compte de paiement en euros."
    }
    fn term_title(&self) -> &'static str {
        "Pendant combien de temps\u{202f}?"
    }
    fn term(&self, days: u32, until: &str) -> String {
        format!("{}, jusqu’au {until}.", count(days, "jour"))
    }
    fn end_title(&self) -> &'static str {
        "Comment y mettre fin\u{202f}?"
    }
    fn end(&self, tpp: &str) -> String {
        format!(
            "Vous pouvez retirer votre accord à tout moment, auprès de votre banque ou de {tpp}, \
             gratuitement et sans vous justifier."
        )
    }
    fn right(&self, scope: ConsentScope, tpp: &str) -> String {
        match scope {
            ConsentScope::Funds => format!(
                "Sur demande, nous vous disons quelles questions {tpp} nous a posées et ce que \
                 nous avons répondu."
            ),
            ConsentScope::Accounts => {
                format!("Sur demande, nous vous disons quand {tpp} a consulté vos comptes.")
            }
        }
    }
    fn law(&self, scope: ConsentScope) -> &'static str {
        match scope {
            ConsentScope::Funds => {
                "Directive (UE) 2015/2366 sur les services de paiement (DSP2), articles\u{a0}64 \
                 et\u{a0}65."
            }
            ConsentScope::Accounts => {
                "Directive (UE) 2015/2366 sur les services de paiement (DSP2), articles\u{a0}64 \
                 et\u{a0}67."
            }
        }
    }
    fn accept(&self) -> &'static str {
        "J’accepte"
    }
    fn refuse(&self) -> &'static str {
        "Je refuse"
    }
    fn after(&self, tpp: &str) -> String {
        format!("Dans les deux cas, vous revenez ensuite chez {tpp}.")
    }
    fn none_chosen(&self) -> &'static str {
        "Vous n’avez choisi aucun compte. Cochez au moins un compte, ou refusez."
    }

    fn notice(&self, kind: MessageKind<'_>) -> Notice {
        let (title, happened, to_do) = match kind {
            MessageKind::TimedOut => (
                "Le délai est dépassé",
                "Pour votre sécurité, nous avons interrompu cette demande, restée trop longtemps \
                 sans réponse. Aucun accord n’a été donné.",
                "Retournez chez votre prestataire et recommencez.",
            ),
            MessageKind::Locked { minutes } => {
                return Notice {
                    title: "Votre accès est bloqué",
                    happened: format!(
                        "Plusieurs codes erronés ont été saisis. Pour votre sécurité, nous \
                         bloquons cet accès pendant {}. Aucun accord n’a été donné.",
                        count(minutes, "minute")
                    ),
                    to_do: "Patientez, puis recommencez chez votre prestataire. Si ce n’était \
                            pas vous, prévenez votre banque.",
                };
            }
            MessageKind::RequestUnknown => (
                "Cette demande n’existe plus",
                "Cette page appartient à une demande déjà terminée, ou que nous ne connaissons \
                 pas.",
                "Retournez chez votre prestataire et recommencez. N’utilisez ni favori ni bouton \
                 «\u{a0}Précédent\u{a0}» pour revenir ici.",
            ),
            MessageKind::RequestFaulty(_) => (
                "Cette demande comporte une erreur",
                "Le prestataire qui vous a envoyé ici nous a transmis une demande que nous ne \
                 pouvons pas traiter. Vous n’y êtes pour rien, et rien ne lui a été communiqué.",
                "Fermez cette page et signalez l’erreur à votre prestataire.",
            ),
            MessageKind::BrowserOther => (
                "Continuez dans le premier navigateur",
                "Cette demande a été commencée dans un autre navigateur ou un autre appareil, ou \
                 votre navigateur refuse les cookies de cette page. Pour votre sécurité, elle ne \
                 peut pas continuer ici.",
                "Revenez au navigateur où vous avez commencé, ou recommencez chez votre \
                 prestataire.",
            ),
            MessageKind::Refused => (
                "Vous avez refusé",
                "Aucun accord n’a été donné. Nous ne répondrons à aucune question de ce \
                 prestataire sur vos comptes au titre de cette demande.",
                "Vous pouvez fermer cette page, ou revenir chez votre prestataire.",
            ),
            MessageKind::Unavailable => (
                "Service momentanément indisponible",
                "Nous ne pouvons pas traiter cette demande pour le moment. Aucun accord n’a été \
                 donné.",
                "Réessayez dans quelques minutes, en recommençant chez votre prestataire.",
            ),
        };
        Notice { title, happened: happened.to_owned(), to_do }
    }
    fn to_do(&self) -> &'static str {
        "Que faire\u{202f}?"
    }
    fn developer(&self) -> &'static str {
        "Pour les développeurs du prestataire"
    }
    fn back(&self) -> &'static str {
        "Revenir chez le prestataire"
    }
}

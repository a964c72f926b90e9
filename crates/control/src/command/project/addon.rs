//! `ockam project addon`.

use std::path::PathBuf;

use clap::Args;
use ockam_store::ProjectRecord;
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::asking::Asking;
use crate::command::{Example, Run, Session, text};
use crate::configuration::Source;
use crate::controller::client::Asked;
use crate::controller::message::{
    ConfigureConfluent, InfluxConfig, OktaConfig, Operation, OperationStatus, Secret,
};
use crate::noun::project::NOUN;
use crate::outcome::{Code, Failure, Outcome};
use crate::table::Noun;

/// Which project, and as whom it is asked for.
#[derive(Debug, Args)]
struct Of {
    /// The project; the default one when none is given
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    #[command(flatten)]
    identity: Identity,
}

impl Of {
    async fn start<'a>(
        &self,
        session: &'a Session<'a>,
    ) -> Result<(Asking<'a>, ProjectRecord), Failure> {
        Asking::about_project(session, self.project.as_deref(), &self.identity).await
    }
}

#[derive(Debug, Args)]
pub(in crate::command) struct List {
    #[command(flatten)]
    of: Of,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "addon list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "What the default project can have",
            "ockam project addon list",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let (asking, project) = self.of.start(session).await?;
        let addons = asking.client.addons(&project.id).await;
        let addons = addons.map_err(|error| {
            asking.failed("the addons are not known", &object(&project), &error)
        })?;
        let plain = if addons.is_empty() {
            text::info(format!("No addons found for the project {}", project.name))
        } else {
            text::list(addons.iter().map(|addon| {
                let state = if addon.enabled { "enabled" } else { "disabled" };
                format!("Addon {} ({state})\n{}", addon.id, addon.description)
            }))
        };
        let items: Vec<_> = addons
            .iter()
            .map(|addon| {
                json!({ "id": addon.id, "description": addon.description, "enabled": addon.enabled })
            })
            .collect();
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(in crate::command) struct Disable {
    /// Which, as `ockam project addon list` names it
    #[arg(long, value_name = "ADDON")]
    addon: String,
    #[command(flatten)]
    of: Of,
}

impl Run for Disable {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "addon disable";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Members cannot sign in with Okta any more",
            "ockam project addon disable --addon okta",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let (asking, project) = self.of.start(session).await?;
        let disabled = asking.client.disable_addon(&project.id, &self.addon).await;
        finished(&asking, &project, &self.addon, disabled, Becomes::Disabled).await
    }
}

#[derive(Debug, Args)]
pub(in crate::command) struct Okta {
    /// Where the tenant is, for example `https://example.okta.com/oauth2/default`
    #[arg(long, value_name = "URL")]
    tenant: String,
    /// Who may vouch for the server of the tenant, in PEM
    #[arg(long, value_name = "PEM", conflicts_with = "cert_path")]
    cert: Option<String>,
    /// A file with that
    #[arg(long, value_name = "FILE")]
    cert_path: Option<PathBuf>,
    /// What the project is at the tenant
    #[arg(long = "client_id", alias = "client-id", value_name = "ID")]
    client_id: String,
    /// What of a user becomes an attribute of the member; repeat for several
    #[arg(short, long = "attribute", value_name = "NAME")]
    attributes: Vec<String>,
    #[command(flatten)]
    of: Of,
}

impl Run for Okta {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "addon configure okta";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Whoever may sign in becomes a member",
            "ockam project addon configure okta --tenant https://t.example --client_id c --cert-path t.pem",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let certificate = given(session, self.cert, self.cert_path)
            .await?
            .ok_or_else(|| {
                Failure::new("who may vouch for the server of the tenant is not given")
                    .help("give its certificate with --cert-path FILE")
            })?;
        let (asking, project) = self.of.start(session).await?;
        let okta = OktaConfig {
            tenant_base_url: self.tenant,
            certificate,
            client_id: self.client_id,
            attributes: self.attributes,
        };
        let done = asking.client.configure_okta(&project.id, &okta).await;
        finished(&asking, &project, "okta", done, Becomes::Enabled).await
    }
}

#[derive(Debug, Args)]
pub(in crate::command) struct InfluxDb {
    /// Where InfluxDB is
    #[arg(short, long, value_name = "URL")]
    endpoint_url: String,
    /// The token with which leases are made; `-` reads it from standard input
    #[arg(short, long, value_name = "TOKEN")]
    token: String,
    /// Whose the leases are
    #[arg(short, long, value_name = "ID")]
    org_id: String,
    /// What leases permit, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "permissions_path")]
    permissions: Option<String>,
    /// A file with that
    #[arg(long, value_name = "FILE")]
    permissions_path: Option<PathBuf>,
    /// How many seconds a lease holds at most
    #[arg(long, value_name = "SECONDS", default_value_t = 10_800)]
    max_ttl: u64,
    /// Who may have a lease
    #[arg(long, value_name = "RULE", hide = true)]
    user_access_role: Option<String>,
    /// Who may end leases of others
    #[arg(long, value_name = "RULE", hide = true)]
    admin_access_role: Option<String>,
    #[command(flatten)]
    of: Of,
}

impl Run for InfluxDb {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "addon configure influxdb";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Tokens of InfluxDB that end by themselves",
            "ockam project addon configure influxdb -e http://i:8086 -t - -o o --permissions-path p.json",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let token = if self.token == "-" {
            Secret::new(Source::Input.load(session).await?.text.trim().to_owned())
        } else {
            Secret::new(self.token)
        };
        let permissions = given(session, self.permissions, self.permissions_path)
            .await?
            .ok_or_else(|| {
                Failure::new("what leases permit is not given")
                    .help("give it with --permissions-path FILE")
            })?;
        let (asking, project) = self.of.start(session).await?;
        let influx = InfluxConfig {
            endpoint: self.endpoint_url,
            token,
            org_id: self.org_id,
            permissions,
            max_ttl_secs: self.max_ttl,
            user_access_rule: self.user_access_role,
            admin_access_rule: self.admin_access_role,
        };
        let done = asking.client.configure_influx(&project.id, &influx).await;
        finished(&asking, &project, "influxdb", done, Becomes::Enabled).await
    }
}

/// The Kafkas have the same arguments and are one to the controller (spec: trust 9.4).
macro_rules! kafka {
    ($($name:ident $addon:literal $verb:literal $line:literal,)*) => {$(
        #[derive(Debug, Args)]
        pub(in crate::command) struct $name {
            #[command(flatten)]
            kafka: Kafka,
        }

        impl Run for $name {
            const NOUN: &'static Noun = &NOUN;
            const VERB: &'static str = $verb;

            fn examples() -> Vec<Example> {
                vec![Example::new("Where it is", $line)]
            }

            async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
                self.kafka.configure(session, $addon).await
            }
        }
    )*};
}

kafka! {
    Confluent "confluent" "addon configure confluent"
        "ockam project addon configure confluent --bootstrap-server k.example:9092",
    Instaclustr "instaclustr-kafka" "addon configure instaclustr-kafka"
        "ockam project addon configure instaclustr-kafka --bootstrap-server k.example:9092",
    Aiven "aiven-kafka" "addon configure aiven-kafka"
        "ockam project addon configure aiven-kafka --bootstrap-server k.example:9092",
    Redpanda "redpanda" "addon configure redpanda"
        "ockam project addon configure redpanda --bootstrap-server k.example:9092",
    Warpstream "warpstream" "addon configure warpstream"
        "ockam project addon configure warpstream --bootstrap-server k.example:9092",
    ApacheKafka "kafka" "addon configure kafka"
        "ockam project addon configure kafka --bootstrap-server k.example:9092",
}

#[derive(Debug, Args)]
struct Kafka {
    /// Where the brokers are asked for
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_server: String,
    #[command(flatten)]
    of: Of,
}

impl Kafka {
    async fn configure(self, session: &Session<'_>, addon: &str) -> Result<(), Failure> {
        let (asking, project) = self.of.start(session).await?;
        let kafka = ConfigureConfluent {
            bootstrap_server: self.bootstrap_server,
        };
        let done = asking.client.configure_confluent(&project.id, &kafka).await;
        finished(&asking, &project, addon, done, Becomes::Enabled).await
    }
}

/// What an addon is afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    Enabled,
    Disabled,
}

/// Says what came of a change of an addon.
async fn finished(
    asking: &Asking<'_>,
    project: &ProjectRecord,
    addon: &str,
    asked: Asked<Operation>,
    becomes: Becomes,
) -> Result<(), Failure> {
    let what = match becomes {
        Becomes::Enabled => format!("the addon {addon} was not configured"),
        Becomes::Disabled => format!("the addon {addon} was not disabled"),
    };
    let begun = asked.map_err(|error| {
        asking.failed(&what, &object(project), &error).help_if(
            error.is_not_offered(),
            "`ockam project addon list` shows what there is, and what of it is offered",
        )
    })?;
    let waiting = format!("Waiting for the addon {addon}");
    asking.session.host.waiting(&waiting);
    let ended = crate::command::ready::until_ended(&asking.client, begun).await;
    let ended = ended.map_err(|error| asking.failed(&what, &object(project), &error))?;
    if ended.status != OperationStatus::Succeeded {
        return Err(Failure::coded(Code::Internal, what)
            .cause(format!("the controller says: {}", ended.status.name())));
    }
    let plain = match becomes {
        Becomes::Enabled => format!("The project {} has the addon {addon}", project.name),
        Becomes::Disabled => format!("The project {} has the addon {addon} no more", project.name),
    };
    asking.session.host.print(
        Outcome::plain(text::done(plain))
            .json(json!({ "addon": addon, "project": project.name.as_str() })),
    );
    Ok(())
}

async fn given(
    session: &Session<'_>,
    text: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<String>, Failure> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text)),
        (None, Some(file)) => Ok(Some(Source::File(file).load(session).await?.text)),
        (None, None) => Ok(None),
    }
}

fn object(project: &ProjectRecord) -> String {
    format!("the project {}, whose id is {}", project.name, project.id)
}

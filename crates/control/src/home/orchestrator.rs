//! The Orchestrator of a home: its node, its database and the identity of its controller.

use std::path::PathBuf;

use ockam_store::{DatabaseAddress, IdentityRecord, NodeRecord, SealingKey, Store, StoreError};
use ockam_wire::MultiAddr;

use crate::home::{identities, nodes};
use crate::noun::orchestrator::NODE;
use crate::orchestrator::{DatabaseAccess, OrchestratorSettings};
use crate::outcome::Failure;
use crate::state::{State, refused};
use crate::value::HostPort;

/// The Orchestrator of this home, running or not.
#[derive(Debug, Clone)]
pub(crate) struct HomeOrchestrator {
    /// Its node.
    pub(crate) node: NodeRecord,
    /// How it was asked to work.
    pub(crate) settings: OrchestratorSettings,
}

/// The Orchestrator of this home, if there is one.
///
/// # Errors
/// The store cannot be read, or a node of another kind has the name.
pub(crate) async fn find(state: &State) -> Result<Option<HomeOrchestrator>, Failure> {
    let name = NODE
        .parse()
        .map_err(|error| Failure::internal("the node has no name", &error))?;
    let Some(node) = nodes::find(state, &name).await? else {
        return Ok(None);
    };
    match crate::managed::orchestrator_of(&node) {
        Some(settings) => Ok(Some(HomeOrchestrator { node, settings })),
        None => Err(Failure::new(format!(
            "the node {NODE} is no Orchestrator, and the Orchestrator of this machine would have its name"
        ))
        .help(format!(
            "delete that node first: `ockam node delete {NODE}`"
        ))),
    }
}

/// Opens the database of an Orchestrator, making it when it is a file that is not there.
///
/// # Errors
/// The database cannot be made, read or written.
pub(crate) async fn open_database(
    state: &State,
    settings: &OrchestratorSettings,
    access: &DatabaseAccess,
) -> Result<State, Failure> {
    let address = address(state, settings, access)?;
    let key = key(settings, access)?;
    let opened = Store::open_at(&address, state.home(), key).await;
    let store = opened.map_err(|error| {
        let help = match &error {
            StoreError::NoDatabaseKey(_) => Some(
                "name the file with the key: `ockam orchestrator start --key-file FILE`, or OCKAM_DATABASE_KEY_FILE",
            ),
            StoreError::NoAccess { .. } => Some(
                "the password comes from OCKAM_ORCHESTRATOR_DATABASE, PGPASSWORD or ~/.pgpass; it is not kept",
            ),
            _ => None,
        };
        let failure = refused(error);
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    })?;
    Ok(state.beside(store))
}

/// Where the database of an Orchestrator is: as the environment says now, as it was asked for, or in the home.
///
/// # Errors
/// The address that was kept is not understood.
pub(crate) fn address(
    state: &State,
    settings: &OrchestratorSettings,
    access: &DatabaseAccess,
) -> Result<DatabaseAddress, Failure> {
    match (&access.address, &settings.database) {
        (Some(address), _) => Ok(address.clone()),
        (None, Some(text)) => text
            .parse()
            .map_err(|error| Failure::internal("the database cannot be found", &error)),
        (None, None) => Ok(DatabaseAddress::file(state.home().orchestrator_database())),
    }
}

/// The key that its secrets are sealed under, if there is one.
///
/// # Errors
/// The file with it cannot be read.
pub(crate) fn key(
    settings: &OrchestratorSettings,
    access: &DatabaseAccess,
) -> Result<Option<SealingKey>, Failure> {
    match (&settings.key_file, &access.key) {
        (Some(path), _) => SealingKey::read(path).map(Some).map_err(|error| {
            Failure::new("the key of the database is not there").caused_by(&error)
        }),
        (None, key) => Ok(key.clone()),
    }
}

/// The identity of the controller, made when there is none. However many processes ask at once, there is one.
///
/// # Errors
/// The database cannot be read or written.
pub(crate) async fn controller(database: &State) -> Result<IdentityRecord, Failure> {
    let name = CONTROLLER
        .parse()
        .map_err(|error| Failure::internal("the controller has no name", &error))?;
    let spec = identities::IdentitySpec {
        name: Some(name),
        ..identities::IdentitySpec::default()
    };
    Ok(identities::create(database, spec).await?.into_record())
}

/// The route to the listener as others reach it.
///
/// # Errors
/// It listens at every address of the machine, and nobody said which of them others use.
pub(crate) fn public(
    settings: &OrchestratorSettings,
    listener: &HostPort,
) -> Result<MultiAddr, Failure> {
    let is_everywhere = listener.ip().is_some_and(|ip| ip.is_unspecified());
    let address = match &settings.public_address {
        Some(address) => address,
        None if is_everywhere => {
            return Err(Failure::new(format!(
                "others cannot be told where to reach an Orchestrator that listens at {listener}"
            ))
            .help(format!(
                "add --public-address with the name or address of this machine, for example \
                 --public-address orchestrator.example.com:{}",
                match listener.port() {
                    0 => USUAL_PORT,
                    port => port,
                }
            )));
        }
        None => listener,
    };
    address
        .multiaddr()
        .parse()
        .map_err(|error| Failure::internal(format!("{address} cannot be part of a route"), &error))
}

/// The route to the listener as other processes on the same database reach it; nothing where nobody can know it.
///
/// # Errors
/// The address cannot be part of a route.
pub(crate) fn reach(
    settings: &OrchestratorSettings,
    listener: &HostPort,
) -> Result<Option<MultiAddr>, Failure> {
    let is_everywhere = listener.ip().is_some_and(|ip| ip.is_unspecified());
    let address = match &settings.process_address {
        Some(address) => address,
        None if is_everywhere => return Ok(None),
        None => listener,
    };
    let route = address.multiaddr().parse().map_err(|error| {
        Failure::internal(format!("{address} cannot be part of a route"), &error)
    })?;
    Ok(Some(route))
}

/// The route to the controller behind the route to a listener.
///
/// # Errors
/// The route is too long for one more part.
pub(crate) fn controller_route(public: &MultiAddr) -> Result<MultiAddr, Failure> {
    format!("{public}/service/api")
        .parse()
        .map_err(|error| Failure::internal("the route to the controller cannot be written", &error))
}

/// Which kind of database it has.
#[cfg(feature = "cli")]
pub(crate) fn database_kind(settings: &OrchestratorSettings) -> &'static str {
    match &settings.database {
        Some(address) if address.starts_with("postgres") => "postgres",
        _ => "sqlite",
    }
}

/// The file with the code of the first administrator, while there is one.
pub(crate) fn first_administrator(state: &State) -> Option<PathBuf> {
    let path = state.home().first_administrator();
    path.is_file().then_some(path)
}

/// The port of an Orchestrator, unless another is named.
pub(crate) const USUAL_PORT: u16 = 6252;
/// The name of its identity in its database.
const CONTROLLER: &str = "controller";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_must_say_where_it_is_reached() {
        let mut settings = OrchestratorSettings::default();
        let route = |settings: &OrchestratorSettings, listener: &str| {
            public(settings, &listener.parse().expect(listener))
                .map(|route| route.to_string())
                .map_err(|failure| failure.help.unwrap_or_default())
        };
        assert_eq!(
            route(&settings, "127.0.0.1:6252").as_deref(),
            Ok("/ip4/127.0.0.1/tcp/6252")
        );
        assert_eq!(
            route(&settings, "10.0.0.5:1").as_deref(),
            Ok("/ip4/10.0.0.5/tcp/1")
        );
        for everywhere in ["0.0.0.0:7000", "[::]:7000"] {
            let help = route(&settings, everywhere).expect_err(everywhere);
            assert!(help.contains("--public-address"), "{help}");
            assert!(help.contains(":7000"), "{help}");
        }
        settings.public_address = Some("o.example:443".parse().expect("an address"));
        assert_eq!(
            route(&settings, "0.0.0.0:7000").as_deref(),
            Ok("/dnsaddr/o.example/tcp/443")
        );
    }

    #[tokio::test]
    async fn two_that_start_at_once_are_one_controller() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(directory.path(), None).await.expect("it opens");
        let settings = OrchestratorSettings::default();
        let access = DatabaseAccess::default();
        let (one, other) = tokio::join!(
            open_database(&state, &settings, &access),
            open_database(&state, &settings, &access)
        );
        let (one, other) = (one.expect("it opens"), other.expect("it opens"));
        let (one, other) = tokio::join!(controller(&one), controller(&other));
        assert_eq!(
            one.expect("it is made").identifier,
            other.expect("it is there").identifier
        );
        let at_home = state.store().identities().await.expect("it is read");
        assert!(at_home.is_empty(), "it is none of the home");
    }
}

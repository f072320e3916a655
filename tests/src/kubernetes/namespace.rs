//! One namespace: what a kubelet, a controller and an administrator would do in it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Namespace as KubeNamespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::write_kubeconfig;

/// A namespace, seen by the administrator.
#[derive(Clone)]
pub struct Namespace {
    client: Client,
    name: String,
    home: PathBuf,
    api: SocketAddr,
}

/// A pod object. No process belongs to it unless the test starts one.
#[derive(Clone, Debug)]
pub struct PodObject {
    /// Its name.
    pub name: String,
    /// Its UID, which is a candidate's identity.
    pub uid: String,
}

impl Namespace {
    pub(super) async fn create(client: Client, name: &str, home: &Path, api: SocketAddr) -> Result<Self> {
        let object = object::<KubeNamespace>(json!({"metadata": {"name": name}}))?;
        create(Api::all(client.clone()), &object).await.with_context(|| format!("namespace {name}"))?;
        Ok(Self { client, name: name.to_owned(), home: home.to_owned(), api })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a pod and reports, as a kubelet would, that its two containers run.
    pub async fn run_pod(&self, name: &str) -> Result<PodObject> {
        let containers = [json!({"name": "jobmanager", "image": "flink"})];
        let sidecars = [json!({"name": "holdfast", "image": "holdfast"})];
        let pod = object::<Pod>(json!({
            "metadata": {"name": name},
            "spec": {"nodeName": "node-1", "containers": containers, "initContainers": sidecars},
        }))?;
        let pod = create(self.api::<Pod>(), &pod).await.with_context(|| format!("pod {name}"))?;
        let running = json!({"running": {"startedAt": "2026-01-02T03:04:05Z"}});
        self.report(name, "Running", &running, &running).await?;
        Ok(PodObject { name: name.to_owned(), uid: pod.metadata.uid.context("a pod without a UID")? })
    }

    /// Reports that every container of the pod was killed. The object stays.
    pub async fn terminate_pod(&self, name: &str) -> Result<()> {
        let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        self.report(name, "Running", &killed, &killed).await
    }

    /// Reports that the JobManager's container was killed, while the sidecar runs on.
    pub async fn terminate_job_manager(&self, name: &str) -> Result<()> {
        let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let running = json!({"running": {"startedAt": "2026-01-02T03:04:05Z"}});
        self.report(name, "Running", &killed, &running).await
    }

    async fn report(&self, pod: &str, phase: &str, job_manager: &Value, sidecar: &Value) -> Result<()> {
        let container = |name: &str, state: &Value| json!({"name": name, "image": name, "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let status = json!({"status": {
            "phase": phase,
            "containerStatuses": [container("jobmanager", job_manager)],
            "initContainerStatuses": [container("holdfast", sidecar)],
        }});
        let patch = Patch::Strategic(status);
        let reported = self.api::<Pod>().patch_status(pod, &PatchParams::default(), &patch).await;
        reported.with_context(|| format!("reporting the status of pod {pod}"))?;
        Ok(())
    }

    /// Removes the object at once, as a node's removal or `kubectl delete --force` does.
    pub async fn delete_pod(&self, name: &str) -> Result<()> {
        let at_once = DeleteParams::default().grace_period(0);
        self.api::<Pod>().delete(name, &at_once).await.with_context(|| format!("deleting pod {name}"))?;
        Ok(())
    }

    /// A Lease, if there is one.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>> {
        self.api::<Lease>().get_opt(name).await.with_context(|| format!("reading Lease {name}"))
    }

    /// Who holds a Lease; empty when nobody does.
    pub async fn holder(&self, lease: &str) -> Result<String> {
        let lease = self.lease(lease).await?;
        Ok(lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default())
    }

    /// Removes a Lease.
    pub async fn delete_lease(&self, name: &str) -> Result<()> {
        self.api::<Lease>().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Writes another holder into a Lease, as somebody with `kubectl edit` could.
    pub async fn usurp(&self, lease: &str, holder: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"holderIdentity": holder}}));
        self.api::<Lease>().patch(lease, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The Events about a pod, oldest first.
    pub async fn events(&self, pod: &PodObject) -> Result<Vec<Event>> {
        let mut events = self.api::<Event>().list(&ListParams::default()).await?.items;
        events.retain(|event| event.involved_object.uid.as_ref() == Some(&pod.uid));
        events.sort_by_key(|event| event.metadata.creation_timestamp.clone());
        Ok(events)
    }

    /// Makes a service account with a Role of these rules, and a kubeconfig with a token of it.
    pub async fn service_account(&self, name: &str, rules: &[PolicyRule]) -> Result<PathBuf> {
        let account = object::<ServiceAccount>(json!({"metadata": {"name": name}}))?;
        create(self.api(), &account).await?;
        let role = object::<Role>(json!({"metadata": {"name": name}, "rules": rules}))?;
        create(self.api(), &role).await?;
        let binding = object::<RoleBinding>(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
        }))?;
        create(self.api(), &binding).await?;
        let token = self.token(name, json!({"audiences": [], "expirationSeconds": 7200})).await?;
        self.kubeconfig(name, &format!("https://{}", self.api), &json!({ "token": token }))
    }

    /// A token of a service account that is good until [`Namespace::revoke`] of the same `key`.
    pub async fn revocable_token(&self, account: &str, key: &str) -> Result<String> {
        let secret = create(self.api(), &object::<Secret>(json!({"metadata": {"name": key}}))?).await?;
        let bound_to = json!({"kind": "Secret", "apiVersion": "v1", "name": key, "uid": secret.metadata.uid});
        let spec = json!({"audiences": [], "expirationSeconds": 7200, "boundObjectRef": bound_to});
        self.token(account, spec).await
    }

    /// The token is refused from now on, or rather when the API server's cache forgets it: after ten seconds.
    pub async fn revoke(&self, key: &str) -> Result<()> {
        self.api::<Secret>().delete(key, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn token(&self, account: &str, spec: Value) -> Result<String> {
        let wanted = object::<TokenRequest>(json!({ "spec": spec }))?;
        let accounts = self.api::<ServiceAccount>();
        let token = accounts.create_token_request(account, &PostParams::default(), &wanted).await?;
        Ok(token.status.context("no token was given")?.token)
    }

    /// A kubeconfig for a user of the API at this URL.
    pub fn kubeconfig(&self, name: &str, server: &str, user: &Value) -> Result<PathBuf> {
        write_kubeconfig(&self.home, server, &format!("{}-{name}", self.name), user)
    }

    /// How the audit log names a service account.
    pub fn user(&self, account: &str) -> String {
        format!("system:serviceaccount:{}:{account}", self.name)
    }

    /// Gives a Role other rules. They hold at once, or very nearly.
    pub async fn set_rules(&self, role: &str, rules: &[PolicyRule]) -> Result<()> {
        let patch = Patch::Merge(json!({ "rules": rules }));
        self.api::<Role>().patch(role, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }
}

fn object<K: DeserializeOwned>(json: Value) -> Result<K> {
    serde_json::from_value(json).context("an object of the test is not one")
}

async fn create<K>(api: Api<K>, object: &K) -> Result<K>
where
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    Ok(api.create(&PostParams::default(), object).await?)
}

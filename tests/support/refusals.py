"""Sentences of the API server that refuse a write."""

from __future__ import annotations

JOBS_QUOTA = 'jobs.batch "zero-base" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0'


PODS_QUOTA = 'pods "zero-base-x7f2p" is forbidden: failed quota: small: must specify limits.cpu for: main; limits.memory for: main'


SECURITY = 'pods "zero-base-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


RBAC = 'persistentvolumeclaims is forbidden: User "system:serviceaccount:sys:oneseek-operator" cannot create resource "persistentvolumeclaims" in API group "" in the namespace "team"'


WEBHOOK = 'admission webhook "validate.kyverno.svc-fail" denied the request: resource Deployment/team/zero was blocked'


POLICY = "deployments.apps \"zero-0\" is forbidden: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: image is not signed"


SILENT = 'Internal error occurred: failed calling webhook "validate.kyverno.svc": no endpoints available for service "kyverno-svc"'


LIMIT = 'pods "zero-base-x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi'


MODEL = ("OneSeekModel", "team", "zero")

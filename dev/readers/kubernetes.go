package main

import (
	"context"
	"io"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/resource"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/kubectl/pkg/cmd/wait"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	fluxstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

func kstatusOf(object *unstructured.Unstructured) (verdict, error) {
	result, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	return verdict{Status: result.Status.String(), Message: result.Message}, nil
}

func fluxKstatusOf(object *unstructured.Unstructured) (verdict, error) {
	result, err := fluxstatus.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	return verdict{Status: result.Status.String(), Message: result.Message}, nil
}

// infoOf is the object as kubectl and Helm hold it.
func infoOf(object *unstructured.Unstructured) *resource.Info {
	kind := object.GroupVersionKind()
	plural := strings.ToLower(kind.Kind) + "s"
	return &resource.Info{
		Mapping: &meta.RESTMapping{
			Resource:         kind.GroupVersion().WithResource(plural),
			GroupVersionKind: kind,
			Scope:            meta.RESTScopeNamespace,
		},
		Namespace: object.GetNamespace(),
		Name:      object.GetName(),
		Object:    object,
	}
}

// kubectlWait runs `kubectl wait --for=condition=Ready --timeout=0` on a client that holds the object: looked at once.
func kubectlWait(ctx context.Context, object *unstructured.Unstructured) (verdict, error) {
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}
	flags := wait.NewWaitFlags(genericclioptions.NewTestConfigFlags().WithClientConfig(nowhere()), streams)
	flags.Timeout = 0
	flags.ForCondition = []string{"condition=Ready"}
	options, err := flags.ToOptions([]string{"anything/here"}) // the finder and the client made of it are replaced below
	if err != nil {
		return verdict{}, err
	}
	info := infoOf(object)
	kinds := map[schema.GroupVersionResource]string{info.Mapping.Resource: object.GetKind() + "List"}
	options.DynamicClient = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, object.DeepCopy())
	options.ResourceFinder = genericclioptions.NewSimpleFakeResourceFinder(info)
	if err := options.RunWaitContext(ctx); err != nil {
		return verdict{Status: "NotMet", Message: err.Error()}, nil
	}
	return verdict{Status: "Met"}, nil
}

// nowhere is a configuration that kubectl accepts; nothing is ever asked of its server.
func nowhere() clientcmd.ClientConfig {
	config := clientcmdapi.NewConfig()
	config.Clusters["none"] = &clientcmdapi.Cluster{Server: "http://127.0.0.1:1"}
	config.Contexts["none"] = &clientcmdapi.Context{Cluster: "none"}
	config.CurrentContext = "none"
	return clientcmd.NewDefaultClientConfig(*config, nil)
}

// helm3 is the checker behind Helm 3's --wait, which knows Kubernetes' own kinds and takes all others for ready.
func helm3(ctx context.Context, object *unstructured.Unstructured) (verdict, error) {
	checker := kube.NewReadyChecker(fake.NewClientset(), nil, kube.PausedAsReady(true), kube.CheckJobs(true))
	ready, err := checker.IsReady(ctx, infoOf(object))
	if err != nil {
		return verdict{}, err
	}
	if ready {
		return verdict{Status: "Ready"}, nil
	}
	return verdict{Status: "NotReady"}, nil
}

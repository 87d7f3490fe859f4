// Command node is a whole Kubernetes in one file: the program that it becomes is chosen by the name it is
// started under (the busybox trick), so that etcd, the control plane, the node's programs and kubectl share one
// static binary that is built and cached once.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"

	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps the name a program is started under to what it runs; each returns an exit status.
var components = map[string]func() int{
	"coredns": func() int {
		dnsserver.Directives = []string{"reload", "errors", "health", "ready", "cache", "loop", "kubernetes"}
		coremain.Run()
		return 0
	},
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"kube-apiserver":          run(apiserver.NewAPIServerCommand),
	"kube-controller-manager": run(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              run(proxy.NewProxyCommand),
	"kube-scheduler":          run(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	// The process's signal handler can be installed only once, and cli.Run installs it: the kubelet is given
	// a plain context, else it panics with "close of closed channel".
	"kubelet": run(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"registry": func() int {
		if registry.RootCmd.Execute() != nil {
			return 1
		}
		return 0
	},
	"kubectl": func() int {
		command := cmd.NewDefaultKubectlCommand()
		if err := cli.RunNoErrOutput(command); err != nil {
			cmdutil.CheckErr(err)
		}
		return 0
	},
}

// run defers making the command until its program was chosen: their constructors touch global flags.
func run(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

// choose finds the program in argv[0] or, failing that, in the first argument, which it then removes.
func choose(args []string) (func() int, []string) {
	if component, ok := components[filepath.Base(args[0])]; ok {
		return component, args
	}
	if len(args) > 1 {
		if component, ok := components[args[1]]; ok {
			return component, args[1:]
		}
	}
	return nil, args
}

func main() {
	component, args := choose(os.Args)
	if component == nil {
		names := make([]string, 0, len(components))
		for name := range components {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "Start me under one of these names, or give it as first argument: %s\n", strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Args = args
	os.Exit(component())
}

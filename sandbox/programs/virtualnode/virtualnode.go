// Package virtualnode registers a virtual node whose pods run as Confidential container groups.
//
// It is the sandbox's counterpart of "virtual nodes on Azure Container Instances": the same label, taint and
// annotations, on the real virtual-kubelet library. It talks to https://management.azure.com under that name; the
// environment (HTTPS_PROXY, SSL_CERT_FILE) decides who answers.
package virtualnode

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/virtual-kubelet/virtual-kubelet/log"
	logruslogger "github.com/virtual-kubelet/virtual-kubelet/log/logrus"
	vknode "github.com/virtual-kubelet/virtual-kubelet/node"
	"github.com/virtual-kubelet/virtual-kubelet/node/nodeutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/node"
)

const (
	// readyTimeout bounds how long the API server may take to accept the node.
	readyTimeout = 60 * time.Second
	// workers handle pods side by side; each of their steps is short, as keepers do the waiting.
	workers = 4
)

// options are the command line.
type options struct {
	kubeconfig, nodeName, listen               string
	certificate, key, clientAuthority, apiUser string
	subscription, resourceGroup, location      string
	tenant, clientID, clientSecret, subnet     string
}

// Main runs the node until a signal ends it, and returns the exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	logger := logrus.New()
	ctx = log.WithLogger(ctx, logruslogger.FromLogrus(logrus.NewEntry(logger)))
	if err := run(ctx, parse()); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "virtualnode:", err)
		return 1
	}
	return 0
}

func parse() options {
	var o options
	flags := flag.NewFlagSet("virtualnode", flag.ExitOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` that leads to the API server")
	flags.StringVar(&o.nodeName, "node", "virtualnode-0", "`name` of the node")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:10250", "`address` on which the API server asks for logs")
	flags.StringVar(&o.certificate, "tls-cert-file", "", "`file` with the certificate to serve; none: no logs")
	flags.StringVar(&o.key, "tls-private-key-file", "", "`file` with its key")
	flags.StringVar(&o.clientAuthority, "client-ca-file", "", "`file` with the authority of the API server's client certificate")
	flags.StringVar(&o.apiUser, "client-name", "kube-apiserver-kubelet-client", "common `name` of that certificate")
	flags.StringVar(&o.subscription, "subscription", "", "subscription `id`")
	flags.StringVar(&o.resourceGroup, "resource-group", "", "`name` of the resource group")
	flags.StringVar(&o.location, "location", "", "Azure `region`")
	flags.StringVar(&o.tenant, "tenant", "", "tenant `id`")
	flags.StringVar(&o.clientID, "client-id", "", "application `id` to sign in with; its secret is AZURE_CLIENT_SECRET")
	flags.StringVar(&o.subnet, "subnet", "", "`id` of the subnet that groups join")
	_ = flags.Parse(os.Args[1:])
	o.clientSecret = os.Getenv("AZURE_CLIENT_SECRET")
	return o
}

func run(ctx context.Context, o options) error {
	client, err := nodeutil.ClientsetFromEnv(o.kubeconfig)
	if err != nil {
		return err
	}
	recorder, stopEvents := startEvents(client, o.nodeName)
	defer stopEvents()

	var provider *node.Provider
	mux := http.NewServeMux()
	virtual, err := nodeutil.NewNode(o.nodeName,
		func(parts nodeutil.ProviderConfig) (nodeutil.Provider, vknode.NodeProvider, error) {
			settings := node.Settings{Node: o.nodeName, Location: o.location, SubnetID: o.subnet}
			provider = node.NewProvider(ctx, groups(o), settings, client, parts.Pods, parts.Secrets, recorder)
			return provider, nil, describe(ctx, parts.Node, o, client)
		},
		nodeutil.WithClient(client),
		func(config *nodeutil.NodeConfig) error {
			config.HTTPListenAddr = o.listen
			config.Handler = mux
			config.NumWorkers = workers
			config.EventRecorder = node.QuietRecorder{EventRecorder: recorder}
			return serveTLS(config, o)
		},
		nodeutil.AttachProviderRoutes(mux),
	)
	if err != nil {
		return err
	}
	go func() {
		if err := virtual.WaitReady(ctx, readyTimeout); err == nil {
			log.G(ctx).Info("the node is ready")
			provider.Sweep()
		}
	}()
	return virtual.Run(ctx)
}

// startEvents makes the recorder of pods' events; they come from the kubelet, as on any node.
func startEvents(client kubernetes.Interface, nodeName string) (record.EventRecorder, func()) {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: client.CoreV1().Events(metav1.NamespaceAll)})
	source := corev1.EventSource{Component: "kubelet", Host: nodeName}
	return broadcaster.NewRecorder(scheme.Scheme, source), broadcaster.Shutdown
}

// groups is the way to Azure Resource Manager; the default transport follows HTTPS_PROXY and SSL_CERT_FILE.
func groups(o options) *arm.Client {
	return &arm.Client{
		HTTP: http.DefaultClient,
		Token: &arm.ClientCredentials{
			HTTP: http.DefaultClient, Tenant: o.tenant, ClientID: o.clientID, ClientSecret: o.clientSecret,
		},
		Subscription:  o.subscription,
		ResourceGroup: o.resourceGroup,
	}
}

// describe makes the node look like the real one.
func describe(ctx context.Context, target *corev1.Node, o options, client kubernetes.Interface) error {
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return err
	}
	return node.Describe(target, version.GitVersion, host, port)
}

// serveTLS serves the API server and nobody else.
func serveTLS(config *nodeutil.NodeConfig, o options) error {
	if o.certificate == "" {
		return nil
	}
	apply := nodeutil.WithTLSConfig(
		nodeutil.WithKeyPairFromPath(o.certificate, o.key),
		nodeutil.WithCAFromPath(o.clientAuthority),
		func(settings *tls.Config) error {
			settings.VerifyConnection = func(state tls.ConnectionState) error {
				if name := state.PeerCertificates[0].Subject.CommonName; name != o.apiUser {
					return fmt.Errorf("%q is not the API server", name)
				}
				return nil
			}
			return nil
		},
	)
	return apply(config)
}

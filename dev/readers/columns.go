package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/yaml"
)

// column is a cell of `kubectl get`; a wide one is shown with `-o wide`.
type column struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Wide  bool   `json:"wide"`
}

// printers makes the table rows of each kind as the API server does.
type printers map[string]rest.TableConvertor

func readCRDs(folder string) (printers, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	out := printers{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		crd := apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		convertor, err := tableconvertor.New(crd.Spec.Versions[0].AdditionalPrinterColumns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out[crd.Spec.Names.Kind] = convertor
	}
	return out, nil
}

func (known printers) of(ctx context.Context, object *unstructured.Unstructured) ([]column, error) {
	convertor, found := known[object.GetKind()]
	if !found {
		return nil, fmt.Errorf("there is no CustomResourceDefinition for %s", object.GetKind())
	}
	table, err := convertor.ConvertToTable(ctx, object, &metav1.TableOptions{})
	if err != nil {
		return nil, err
	}
	out := []column{}
	for index, cell := range table.Rows[0].Cells {
		header := table.ColumnDefinitions[index]
		value := ""
		if cell != nil {
			value = fmt.Sprint(cell)
		}
		out = append(out, column{Name: header.Name, Value: value, Wide: header.Priority > 0})
	}
	return out, nil
}

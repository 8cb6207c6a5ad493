use serde_json::json;

use super::super::function::{Code, Role};
use super::*;

fn scope() -> Scope {
    Scope {
        stack: "shop".to_owned(),
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        ..Scope::default()
    }
}

fn read(text: &str) -> Result<Contents, String> {
    let template = Template::parse("t.yaml", text).map_err(|mistakes| mistakes.to_string())?;
    template.contents(&scope(), Path::new("/")).map_err(|mistakes| mistakes.to_string())
}

const HEAD: &str = "Resources:\n  Hello:\n    Type: AWS::Serverless::Function\n    Properties:\n";

fn function(properties: &str) -> Function {
    let text = format!("{HEAD}      Handler: a.b\n      Runtime: python3.12\n{properties}");
    read(&text).expect("a template").functions.remove(0)
}

fn mistakes(properties: &str) -> String {
    read(&format!("{HEAD}      Handler: a.b\n      Runtime: python3.12\n{properties}"))
        .map(|_| ())
        .expect_err("a refusal")
}

#[test]
fn a_function_is_read_with_its_defaults() {
    let function = function("      InlineCode: 'def b(e, c): return e'\n");
    assert_eq!((function.name.as_str(), function.logical_id.as_str()), ("shop-Hello", "Hello"));
    assert_eq!(function.code, Code::Inline { file: "index.py", text: "def b(e, c): return e".to_owned() });
    let expected = json!({
        "Handler": "a.b", "Runtime": "python3.12", "Description": "", "MemorySize": 128, "Timeout": 3,
        "Environment": {"Variables": {}}, "EphemeralStorage": {"Size": 512},
    });
    assert_eq!(serde_json::Value::Object(function.configuration), expected);
    let basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole".to_owned();
    assert_eq!(function.role, Role::Own { managed: vec![basic], inline: Vec::new() });
}

#[test]
fn every_supported_property_is_read() {
    let function = function(
        "      FunctionName: greet
      CodeUri: tmp
      MemorySize: 256
      Timeout: 9
      Description: d
      Environment: {Variables: {PORT: 80, FLAG: true, OCTAL: 010}}
      EphemeralStorage: {Size: 1024}
      Architectures: [x86_64]
      Policies:
        - AWSLambdaVPCAccessExecutionRole
        - arn:aws:iam::000000000000:policy/p
        - Version: 2012-10-17
          Statement: [{Effect: Allow, Action: 's3:*', Resource: '*'}]
      Tags: {team: a}
      ReservedConcurrentExecutions: 0
      EventInvokeConfig: {MaximumRetryAttempts: 1, MaximumEventAgeInSeconds: 60}
      AutoPublishAlias: live
      LoggingConfig: {LogFormat: JSON}
    Metadata:
      BuildMethod: makefile
      Dormouse: {Egress: ['Example.com:443', '10.0.0.1:5432']}
",
    );
    assert_eq!(function.name, "greet");
    assert_eq!(function.code, Code::Path("/tmp".into()));
    let variables = json!({"Variables": {"PORT": "80", "FLAG": "true", "OCTAL": "010"}});
    assert_eq!(function.configuration["Environment"], variables);
    assert_eq!(function.configuration["LoggingConfig"], json!({"LogFormat": "JSON"}));
    assert_eq!(function.tags["dormouse:egress"], "example.com:443 10.0.0.1:5432");
    assert_eq!(function.tags["team"], "a");
    assert_eq!((function.reserved_concurrency, function.alias.as_deref()), (Some(0), Some("live")));
    assert_eq!(function.event_invoke, Some(json!({"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60})));
    let Role::Own { managed, inline } = function.role else { panic!("a role of its own") };
    assert!(managed.contains(&"arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole".to_owned()));
    assert_eq!(managed.len(), 3);
    let statement = json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]);
    assert_eq!(inline, [json!({"Version": "2012-10-17", "Statement": statement})]);
}

#[test]
fn globals_are_merged_and_parameters_filled_in() {
    let text = "
Parameters:
  Stage: {Type: String, Default: test}
Globals:
  Function:
    Runtime: nodejs20.x
    Timeout: 7
    Environment: {Variables: {A: global, B: global}}
    Tags: {owner: x}
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      InlineCode: 'x'
      Timeout: 8
      Environment: {Variables: {B: !Sub '${Stage}-own', TWO: !GetAtt Two.Arn}}
  Two:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, InlineCode: 'x', FunctionName: !Sub 'two-${Stage}'}
Outputs:
  Arn: {Value: !GetAtt Two.Arn}
";
    let contents = read(text).expect("a template");
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:two-test";
    let one = &contents.functions[0];
    assert_eq!(one.configuration["Timeout"], 8);
    assert_eq!(one.configuration["Runtime"], "nodejs20.x");
    assert_eq!(one.configuration["Environment"], json!({"Variables": {"A": "global", "B": "test-own", "TWO": arn}}));
    assert_eq!(one.tags["owner"], "x");
    assert_eq!(contents.functions[1].configuration["Timeout"], 7);
    assert_eq!(contents.outputs, [("Arn".to_owned(), arn.to_owned())]);
}

#[test]
fn what_is_not_supported_is_named_with_its_line() {
    let code = "      InlineCode: x\n";
    let told = mistakes(&format!("{code}      Layers: []\n      Timout: 3\n"));
    let (layers, timeout) = told.split_once('\n').expect("two lines");
    assert!(
        layers.starts_with("t.yaml:8: Hello: the property Layers is not supported yet; supported are FunctionName,")
    );
    assert_eq!(timeout, "t.yaml:9: Hello: there is no property Timout; the nearest is Timeout");
    for (properties, expected) in [
        ("", "t.yaml:2: Hello: it needs CodeUri or InlineCode"),
        ("      CodeUri: s3://b/k\n", "t.yaml:7: Hello: CodeUri takes a directory or a zip file"),
        ("      CodeUri: no/such/dir\n", "t.yaml:7: Hello: CodeUri /no/such/dir is not there"),
        ("      InlineCode: x\n      MemorySize: big\n", "t.yaml:8: Hello: MemorySize takes a whole number"),
        ("      InlineCode: x\n      Role: me\n", "t.yaml:8: Hello: Role takes the ARN of a role"),
        (
            "      InlineCode: x\n      Policies: [{S3ReadPolicy: {BucketName: b}}]\n",
            "S3ReadPolicy of Policies is not supported yet",
        ),
        (
            "      InlineCode: x\n      EventInvokeConfig: {DestinationConfig: {}}\n",
            "DestinationConfig is not supported yet",
        ),
        ("      InlineCode: x\n    Metadata: {Dormouse: {Egress: perhaps}}\n", "is not an egress grant"),
        ("      InlineCode: x\n      FunctionName: 'a b'\n", "t.yaml:8: Hello: \"a b\" is not a function name"),
        ("      InlineCode: !Sub '${X}'\n", "t.yaml:7: Hello: X names nothing in this template"),
    ] {
        let told = mistakes(properties);
        assert!(told.contains(expected), "{properties:?}: {told}");
    }
}

#[test]
fn other_resources_and_sections_are_refused() {
    let told = read("Mappings: {}\nGlobals: {Api: {}}\nResources:\n  T:\n    Type: AWS::SNS::Topic\n")
        .map(|_| ())
        .expect_err("a refusal");
    assert_eq!(
        told,
        "t.yaml:1: Mappings is not supported yet; supported are AWSTemplateFormatVersion, Transform, Description, \
         Metadata, Parameters, Globals, Resources, Outputs\n\
         t.yaml:2: Globals.Api is not supported yet; Globals.Function is\n\
         t.yaml:5: T has the type AWS::SNS::Topic, which is not supported yet; AWS::Serverless::Function is"
    );
    assert!(read("[]").is_err());
    assert!(read("Resources: {}\nTransform: Other\n").is_err());
    let told = read("Parameters: {P: {Type: String}}\nResources: {}\n").map(|_| ()).expect_err("a refusal");
    assert!(told.contains("--parameter P=VALUE"), "{told}");
}

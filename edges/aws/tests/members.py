"""Every member of the inputs that create, change and invoke functions is either honoured, and read back, or refused: none is
dropped in silence. The members are those of the service model, so that one which is new to it fails here until somebody has
decided about it. Run by `client.rs`."""

import base64
import hashlib
import json
import platform
import sys

from lambda_api import ACCOUNT, REGION, ROLE, client, code, function, refused

LAMBDA = client("lambda")
NEW_CODE = code("x = 2")
OF_LAMBDA = f"arn:aws:lambda:{REGION}:{ACCOUNT}"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k"

HOST = platform.machine().replace("aarch64", "arm64")
FOREIGN = "arm64" if HOST == "x86_64" else "x86_64"

# Sent one after the other; together they have every member of their structure.
HONOURED = {
    "Architectures": [[HOST]],
    "Description": ["said"],
    "Environment": [{"Variables": {"KEY": "value"}}],
    "EphemeralStorage": [{"Size": 1024}],
    "Handler": ["other.handler"],
    "LoggingConfig": [{"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN"}, {"LogGroup": "mine"}],
    "MemorySize": [256],
    "PackageType": ["Zip"],
    "Role": [ROLE],
    "Runtime": ["nodejs20.x"],
    "Timeout": [9],
    "TracingConfig": [{"Mode": "Active"}],
}
REFUSED = {
    "AcceleratorConfig": [{"AcceleratorMemorySize": 1}],
    "CapacityProviderConfig": [{"LambdaManagedInstancesCapacityProviderConfig": {
        "CapacityProviderArn": f"{OF_LAMBDA}:capacity-provider:c", "PerExecutionEnvironmentMaxConcurrency": 1,
        "ExecutionEnvironmentMemoryGiBPerVCpu": 2.0}}],
    "CodeSigningConfigArn": [f"{OF_LAMBDA}:code-signing-config:csc-0123456789abcdef0"],
    "DeadLetterConfig": [{"TargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"}],
    "DurableConfig": [{"KMSKeyArn": KEY}, {"RetentionPeriodInDays": 1}, {"ExecutionTimeout": 60}],
    "FileSystemConfigs": [[{"LocalMountPath": "/mnt/x", "Arn": f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:access-point/"
                            "fsap-0123456789abcdef0"}]],
    "ImageConfig": [{"EntryPoint": ["/x"]}, {"Command": ["y"]}, {"WorkingDirectory": "/"}],
    "KMSKeyArn": [KEY],
    "Layers": [[f"{OF_LAMBDA}:layer:l:1"]],
    "PackageType": ["Image"],
    "PublishTo": ["LATEST_PUBLISHED"],
    "RuntimeConfig": [{"RuntimeArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:runtime/some-runtime", "RuntimeAlias": "a"}],
    "SnapStart": [{"ApplyOn": "PublishedVersions"}],
    "TenancyConfig": [{"TenantIsolationMode": "PER_TENANT"}],
    "VpcConfig": [{"SubnetIds": ["subnet-1"]}, {"SecurityGroupIds": ["sg-1"]}, {"Ipv6AllowedForDualStack": True}],
}
# Beside the zip, and without one.
REFUSED_CODE = {
    "ImageUri": [{"ImageUri": "i"}],
    "S3Bucket": [{"S3Bucket": "bucket", "S3Key": "k"}],
    "S3Key": [{"S3Key": "k"}],
    "S3ObjectStorageMode": [{"S3Bucket": "bucket", "S3Key": "k", "S3ObjectStorageMode": "REFERENCE"}],
    "S3ObjectVersion": [{"S3Bucket": "bucket", "S3Key": "k", "S3ObjectVersion": "1"}],
    "SourceKMSKeyArn": [{"ZipFile": NEW_CODE, "SourceKMSKeyArn": KEY}],
}


def shape(operation):
    return LAMBDA.meta.service_model.operation_model(operation).input_shape


def decided(operation, *tables):
    """Asserts that nobody has forgotten a member of the model, or one of a structure in it."""
    found = shape(operation).members
    missing = set(found) - set().union(*tables)
    assert not missing, f"{operation} has members that nobody has decided about: {missing}"
    for table in tables:
        for name, samples in (table.items() if isinstance(table, dict) else ()):
            if name in found and found[name].type_name == "structure":
                missing = set(found[name].members) - set().union(*samples)
                assert not missing, f"{operation} has members in {name} that nobody has decided about: {missing}"


def holds(sample, found):
    if isinstance(sample, dict):
        return isinstance(found, dict) and all(holds(value, found.get(name)) for name, value in sample.items())
    return sample == found


def samples(operation, table):
    members = shape(operation).members
    return [(name, sample) for name, all_of_it in table.items() if name in members for sample in all_of_it]


def not_there(call):
    with refused("InvalidParameterValueException", 400) as told:
        call()
    assert "is not supported by this version of Dormouse. " in told.message, told.message
    assert told.message.endswith("; nothing was changed."), told.message


def sha256(zip_file):
    return base64.b64encode(hashlib.sha256(zip_file).digest()).decode()


def creating():
    others = {"Code", "FunctionName", "Publish", "Tags"}
    decided("CreateFunction", HONOURED, REFUSED, others)
    missing = set(shape("CreateFunction").members["Code"].members) - set(REFUSED_CODE) - {"ZipFile"}
    assert not missing, f"Code has members that nobody has decided about: {missing}"
    good = {"Runtime": "python3.11", "Handler": "index.handler", "Role": ROLE, "Code": {"ZipFile": code()}}
    for n, (name, sample) in enumerate(samples("CreateFunction", HONOURED)):
        LAMBDA.create_function(**{**good, "FunctionName": f"made-{n}", name: sample})
        found = LAMBDA.get_function_configuration(FunctionName=f"made-{n}")
        assert holds(sample, found[name]), (name, sample, found[name])
    made = LAMBDA.create_function(FunctionName="named", Publish=True, Tags={"k": "v"},
                                  **{**good, "Code": {"ZipFile": NEW_CODE}})
    assert (made["FunctionName"], made["Version"], made["CodeSha256"]) == ("named", "1", sha256(NEW_CODE)), made
    assert LAMBDA.get_function(FunctionName="named")["Tags"] == {"k": "v"}
    for name, sample in samples("CreateFunction", REFUSED):
        not_there(lambda: LAMBDA.create_function(FunctionName="never", **{**good, name: sample}))
    for name, [sample] in REFUSED_CODE.items():
        not_there(lambda: LAMBDA.create_function(FunctionName="never", **{**good, "Code": sample}))
        if "ZipFile" not in sample:
            with refused("InvalidParameterValueException", 400) as told:
                LAMBDA.create_function(FunctionName="never", **{**good, "Code": {"ZipFile": code(), **sample}})
            assert "other code parameters" in told.message, told.message
    with refused("ResourceNotFoundException", 404):
        LAMBDA.get_function(FunctionName="never")


def changing_the_configuration():
    decided("UpdateFunctionConfiguration", HONOURED, REFUSED, {"FunctionName", "RevisionId"})
    _, function_name = function()
    for name, sample in samples("UpdateFunctionConfiguration", HONOURED):
        before = LAMBDA.get_function_configuration(FunctionName=function_name)
        LAMBDA.update_function_configuration(FunctionName=function_name, RevisionId=before["RevisionId"], **{name: sample})
        found = LAMBDA.get_function_configuration(FunctionName=function_name)
        assert holds(sample, found[name]), (name, sample, found[name])
        with refused("PreconditionFailedException", 412):
            LAMBDA.update_function_configuration(FunctionName=function_name, RevisionId=before["RevisionId"])
    before = LAMBDA.get_function_configuration(FunctionName=function_name)
    for name, sample in samples("UpdateFunctionConfiguration", REFUSED):
        not_there(lambda: LAMBDA.update_function_configuration(FunctionName=function_name, **{name: sample}))
    assert LAMBDA.get_function_configuration(FunctionName=function_name)["RevisionId"] == before["RevisionId"]


def changing_the_code():
    others = {"Architectures", "DryRun", "FunctionName", "Publish", "RevisionId", "ZipFile"}
    decided("UpdateFunctionCode", REFUSED_CODE, {"PublishTo"}, others)
    _, name = function()
    before = LAMBDA.get_function_configuration(FunctionName=name)
    tried = LAMBDA.update_function_code(FunctionName=name, ZipFile=NEW_CODE, DryRun=True)
    assert tried["CodeSha256"] == sha256(NEW_CODE), tried
    for sample in [*REFUSED_CODE.values(), [{"ZipFile": NEW_CODE, "PublishTo": "LATEST_PUBLISHED"}]]:
        not_there(lambda: LAMBDA.update_function_code(FunctionName=name, **sample[0]))
    with refused("InvalidParameterValueException", 400):
        LAMBDA.update_function_code(FunctionName=name, ZipFile=NEW_CODE, S3Key="k")
    with refused("InvalidParameterValueException", 400):
        LAMBDA.update_function_code(FunctionName=name, ZipFile=NEW_CODE, Architectures=[FOREIGN])
    assert LAMBDA.get_function_configuration(FunctionName=name)["RevisionId"] == before["RevisionId"]
    made = LAMBDA.update_function_code(FunctionName=name, ZipFile=NEW_CODE, Publish=True, RevisionId=before["RevisionId"],
                                       Architectures=before["Architectures"])
    assert (made["Version"], made["CodeSha256"], made["Architectures"]) == ("1", sha256(NEW_CODE), before["Architectures"])
    with refused("PreconditionFailedException", 412):
        LAMBDA.update_function_code(FunctionName=name, ZipFile=NEW_CODE, RevisionId=before["RevisionId"])


def invoking():
    members = {"ClientContext", "DurableExecutionName", "FunctionName", "InvocationType", "LogType", "Payload", "Qualifier",
               "TenantId"}
    decided("Invoke", members)
    _, name = function(Publish=True)
    answer = LAMBDA.invoke(FunctionName=name, Qualifier="1", LogType="Tail", Payload=b'{"a": 1}', ClientContext="e30=")
    assert (answer["ExecutedVersion"], json.loads(answer["Payload"].read())) == ("1", {"a": 1}), answer
    assert b"START RequestId" in base64.b64decode(answer["LogResult"]), answer
    assert LAMBDA.invoke(FunctionName=name, InvocationType="Event")["StatusCode"] == 202
    assert LAMBDA.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    for refused_member in ({"TenantId": "t"}, {"DurableExecutionName": "d"}):
        with refused("InvalidParameterValueException", 400) as told:
            LAMBDA.invoke(FunctionName=name, **refused_member)
        assert "is not supported by this version of Dormouse" in told.message, told.message
    with refused("InvalidRequestContentException", 400):
        LAMBDA.invoke(FunctionName=name, ClientContext="MQ==")


if __name__ == "__main__":
    globals()[sys.argv[1]]()

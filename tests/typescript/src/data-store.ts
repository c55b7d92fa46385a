// The guide's six functions, as the web application has them: on the table that the environment
// names, or on another one for tests that have several.

import { randomUUID } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  type QueryCommandInput,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb";

export interface UserRecord<Data = Record<string, unknown>> {
  userId: string;
  recordKey: string;
  dataType: string;
  recordId: string;
  data: Data;
  createdAt: string;
  updatedAt: string;
  ttl?: number;
}

export interface Settings {
  tableName?: string | undefined;
  region?: string | undefined;
  endpoint?: string | undefined;
}

export function fromEnvironment(): Settings {
  return {
    tableName: process.env["DYNAMODB_TABLE_NAME"],
    region: process.env["AWS_REGION"],
    endpoint: process.env["AWS_ENDPOINT"],
  };
}

export type DataStore = ReturnType<typeof dataStore>;

export function dataStore({ tableName, region, endpoint }: Settings) {
  const TableName = tableName ?? "thrivecalc-user-data";
  const credentials = { accessKeyId: "standin", secretAccessKey: "standin" };
  const client = new DynamoDBClient({
    region: region ?? "us-east-1",
    ...(endpoint === undefined ? {} : { endpoint, credentials }),
  });
  const documents = DynamoDBDocumentClient.from(client, {
    marshallOptions: { removeUndefinedValues: true },
  });

  async function saveUserData(userId: string, dataType: string, data: object): Promise<string> {
    const recordId = randomUUID();
    const now = new Date().toISOString();
    const recordKey = `${dataType}#${recordId}`;
    const Item = { userId, recordKey, dataType, recordId, data, createdAt: now, updatedAt: now };
    await documents.send(new PutCommand({ TableName, Item }));
    return recordId;
  }

  async function getUserData<Data = Record<string, unknown>>(
    userId: string,
    dataType: string,
    recordId: string,
  ): Promise<UserRecord<Data> | null> {
    const Key = { userId, recordKey: `${dataType}#${recordId}` };
    const { Item } = await documents.send(new GetCommand({ TableName, Key }));
    return (Item as UserRecord<Data> | undefined) ?? null;
  }

  async function listUserData<Data = Record<string, unknown>>(
    userId: string,
    dataType: string,
  ): Promise<UserRecord<Data>[]> {
    return query<Data>({
      TableName,
      IndexName: "DataTypeIndex",
      KeyConditionExpression: "userId = :userId AND dataType = :dataType",
      ExpressionAttributeValues: { ":userId": userId, ":dataType": dataType },
    });
  }

  async function listAllUserData(userId: string): Promise<UserRecord[]> {
    return query({
      TableName,
      KeyConditionExpression: "userId = :userId",
      ExpressionAttributeValues: { ":userId": userId },
    });
  }

  async function updateUserData(
    userId: string,
    dataType: string,
    recordId: string,
    data: object,
  ): Promise<void> {
    await documents.send(
      new UpdateCommand({
        TableName,
        Key: { userId, recordKey: `${dataType}#${recordId}` },
        UpdateExpression: "SET #data = :data, updatedAt = :now",
        ConditionExpression: "attribute_exists(recordKey)",
        ExpressionAttributeNames: { "#data": "data" },
        ExpressionAttributeValues: { ":data": data, ":now": new Date().toISOString() },
      }),
    );
  }

  async function deleteUserData(
    userId: string,
    dataType: string,
    recordId: string,
  ): Promise<void> {
    const Key = { userId, recordKey: `${dataType}#${recordId}` };
    await documents.send(new DeleteCommand({ TableName, Key }));
  }

  async function query<Data>(input: QueryCommandInput): Promise<UserRecord<Data>[]> {
    const records: UserRecord<Data>[] = [];
    let ExclusiveStartKey: Record<string, unknown> | undefined;
    do {
      const page = await documents.send(
        new QueryCommand({ ...input, ...(ExclusiveStartKey ? { ExclusiveStartKey } : {}) }),
      );
      records.push(...((page.Items ?? []) as UserRecord<Data>[]));
      ExclusiveStartKey = page.LastEvaluatedKey;
    } while (ExclusiveStartKey);
    return records;
  }

  return {
    saveUserData,
    getUserData,
    listUserData,
    listAllUserData,
    updateUserData,
    deleteUserData,
    close: () => client.destroy(),
  };
}

export const {
  saveUserData,
  getUserData,
  listUserData,
  listAllUserData,
  updateUserData,
  deleteUserData,
  close,
} = dataStore(fromEnvironment());
